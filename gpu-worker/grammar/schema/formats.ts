/**
 * Formats of strings as patterns that the whole text matches. Each is a part of what its RFC allows: a date's day is
 * one that its month has in every year, a host's labels are few and short, an address is one of the web.
 * zod writes a pattern of its own beside a format.
 */
import * as z from "zod";

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
const email = `${part}(?:[._+-]${part})*@${part}(?:-${part})*(?:\\.${part})*\\.[a-z]{2,}`;
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

/** Of zod 4.0 to 4.5. */
const earlierEmail =
  "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";

const { regexes } = z;
/** By format, zod's patterns that it is within and that look ahead, which no grammar does. */
const around: Readonly<Record<string, readonly string[]>> = {
  duration: [regexes.duration.source],
  email: [regexes.email.source, earlierEmail],
  hostname: [regexes.hostname.source],
};

/** Whether a text that has the format matches the pattern in any case. */
export function isWithin(format: string, pattern: string): boolean {
  return Object.hasOwn(around, format) && around[format]?.includes(pattern) === true;
}

/** As a schema's `pattern` would have it. */
export function formatPattern(format: string): string {
  return `^(?:${formats[format] ?? ""})$`;
}
