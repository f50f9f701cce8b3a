/** The pages' icon, within the page: no browser needs to ask for one. */
const drawing =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2f5bd3"/>' +
  '<path d="M9 8v16h14" fill="none" stroke="#fff" stroke-width="4" stroke-linejoin="round"/></svg>';

export const iconUrl = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
