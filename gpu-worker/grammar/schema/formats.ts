/**
 * Formats of strings as patterns that the whole text matches. Each is a part of what its RFC allows: a date's day is
 * one that its month has in every year, a host's labels are few and short, an address is one of the web.
 */

const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const group = "[0-9a-f]{1,4}";
const date =
  "[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)";
const time =
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const label = "[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?";
/** Of an address, whose length nothing limits. */
const part = "[a-z0-9]+";
const hours = "[0-9]{1,4}H(?:[0-9]{1,4}M)?(?:[0-9]{1,4}S)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S";
const days = "[0-9]{1,4}Y(?:[0-9]{1,4}M)?(?:[0-9]{1,4}D)?|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D";

const hostname = `${label}(?:\\.${label}){0,3}`;
const email = `${part}(?:[._+-]${part})*@${part}(?:-${part})*(?:\\.${part})+`;
const path = "(?:/[A-Za-z0-9._~-]+)*/?";
const query = "(?:\\?[A-Za-z0-9._~=&+-]+)?(?:#[A-Za-z0-9._~-]+)?";
const uri = `https?://${label}(?:\\.${label}){1,3}(?::[1-9][0-9]{0,3})?${path}${query}`;
const pointer = "(?:/[A-Za-z0-9_.-]*)*";

export const formats: Readonly<Record<string, string>> = {
  date,
  time,
  "date-time": `${date}T${time}`,
  duration: `P(?:(?:${days})(?:T(?:${hours}))?|T(?:${hours})|[0-9]{1,4}W)`,
  email,
  "idn-email": email,
  hostname,
  "idn-hostname": hostname,
  ipv4,
  ipv6: `${group}(?::${group}){7}|(?:${group}(?::${group}){0,2})?::(?:${group}(?::${group}){0,2})?`,
  uri,
  "uri-reference": uri,
  "uri-template": uri,
  iri: uri,
  "iri-reference": uri,
  "json-pointer": pointer,
  "relative-json-pointer": `(?:0|[1-9][0-9]{0,3})${pointer}`,
  regex: "[A-Za-z0-9 _-]*",
  uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
};

/** As a schema's `pattern` would have it. */
export function formatPattern(format: string): string {
  return `^(?:${formats[format] ?? ""})$`;
}
