/**
 * Formats of strings that OpenAI's structured outputs know, as patterns that the whole text matches. Each is a part of
 * what its RFC allows: a date's day is one that its month has in every year, a host's labels are few and short. zod
 * writes a pattern of its own beside a format: each is within that, too, or has a part that is.
 */
import * as z from "zod";

const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const group = "[0-9a-f]{1,4}";
const date =
  "[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)";
const time =
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const utcTime = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?Z";
const label = "[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?";
/** Of an address, whose length nothing limits. */
const part = "[a-z0-9]+";
const hours = "[0-9]{1,4}H(?:[0-9]{1,4}M)?(?:[0-9]{1,4}S)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S";
const days = "[0-9]{1,4}Y(?:[0-9]{1,4}M)?(?:[0-9]{1,4}D)?|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D";

export const formats: Readonly<Record<string, string>> = {
  date,
  time,
  "date-time": `${date}T${time}`,
  duration: `P(?:(?:${days})(?:T(?:${hours}))?|T(?:${hours})|[0-9]{1,4}W)`,
  email: `${part}(?:[._+-]${part})*@${part}(?:-${part})*(?:\\.${part})*\\.[a-z]{2,}`,
  hostname: `${label}(?:\\.${label}){0,3}`,
  ipv4,
  ipv6: `${group}(?::${group}){7}|(?:${group}(?::${group}){0,2})?::(?:${group}(?::${group}){0,2})?`,
  uuid: "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
};

/** Of zod 4.0 to 4.5. */
const earlierEmail =
  "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";

const { regexes } = z;
/** By format, zod's patterns that it is within. */
const around: Readonly<Record<string, readonly string[]>> = {
  date: [regexes.date.source],
  "date-time": [regexes.datetime({ offset: true }).source],
  duration: [regexes.duration.source],
  email: [regexes.email.source, earlierEmail],
  hostname: [regexes.hostname.source],
  ipv4: [regexes.ipv4.source],
  ipv6: [regexes.ipv6.source],
  uuid: [regexes.uuid().source, regexes.uuid4.source, regexes.guid.source],
};

/** @returns what is within a format and a pattern, as a pattern of the whole text; null: it is not known */
export function withinBoth(format: string, pattern: string): string | null {
  if (format === "date-time" && pattern === regexes.datetime({}).source)
    return `${date}T${utcTime}`;
  const known = Object.hasOwn(around, format) && around[format]?.includes(pattern) === true;
  return known ? (formats[format] ?? null) : null;
}
