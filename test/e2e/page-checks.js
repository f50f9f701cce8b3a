/**
 * Runs inside a page under test, and tells what a reader would stumble over. Colours are those that the browser
 * computed; of contrast, WCAG 2.2's formula.
 */
const shown = (element) =>
  element.checkVisibility({ visibilityProperty: true }) &&
  element.getBoundingClientRect().width > 1;

const named = (element) =>
  `<${element.tagName.toLowerCase()}> ${element.textContent.trim().slice(0, 40)}`;

const elements = () => [...document.body.querySelectorAll("*")].filter(shown);

/** Elements that hold text themselves. */
const texts = () =>
  elements().filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ""),
  );

const channels = (colour) => colour.match(/[\d.]+/g).map(Number);

function luminance([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function groundOf(element) {
  for (let at = element; at !== null; at = at.parentElement) {
    const colour = channels(getComputedStyle(at).backgroundColor);
    if ((colour[3] ?? 1) === 1) return colour;
  }
  return [255, 255, 255];
}

function contrast(element) {
  const lights = [channels(getComputedStyle(element).color), groundOf(element)].map(luminance);
  return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
}

globalThis.pageChecks = {
  /** What reaches past the window's sides. */
  outside: () =>
    elements()
      .filter((element) => {
        const { left, right } = element.getBoundingClientRect();
        return left < -0.5 || right > document.documentElement.clientWidth + 0.5;
      })
      .map(named),
  /** What does not fit its own box, and is cut or must be scrolled. */
  cut: () =>
    elements()
      .filter((element) => getComputedStyle(element).overflow !== "visible")
      .filter(
        (element) =>
          element.scrollWidth > element.clientWidth + 1 ||
          element.scrollHeight > element.clientHeight + 1,
      )
      .map(named),
  faint: () =>
    texts()
      .filter((element) => !element.matches(":disabled") && contrast(element) < 4.5)
      .map((element) => `${contrast(element).toFixed(2)} ${named(element)}`),
};
