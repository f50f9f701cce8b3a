/**
 * Requests that no client should send, made from valid ones: a place of the body holds another value, a field is
 * missing, unknown or given twice, the text is cut or is no text, the headers lie, the address names another thing. The
 * same seed gives the same requests.
 */

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type HostileRequest = {
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};
/** A valid call of a task, in one of the forms it can have. */
export type ValidCall = { readonly address: string; readonly body: Json };

/** Numbers from 0 to below 1. */
export type Random = () => number;

/** Numerical Recipes' linear congruential generator. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[Math.floor(random() * from.length)];
  if (found === undefined) throw new Error("there is nothing to pick from");
  return found;
}

const nested = (open: string, close: string, depth: number) =>
  open.repeat(depth) + close.repeat(depth);
const quoted = (text: string) => JSON.stringify(text);

/** Written into the body as they stand: some are no JSON. */
const values: readonly string[] = [
  "null true false 0 -1 1 1.5 -0 1e999 -1e308 1e-320 1e21 007 +1 0x10 .5 1_000 'a' `a`".split(" "),
  "9007199254740993 4294967296 2147483648 -9223372036854775809 NaN -Infinity undefined".split(" "),
  '[] {} [null] [[]] [{}] [""] [[[[[0]]]]] [1,2,3] [-1] [1e9] [1.5] ["a","a"]'.split(" "),
  '{"__proto__":{"polluted":true}} {"constructor":{"prototype":{"polluted":true}}}'.split(" "),
  '"__proto__" "constructor" "toString" "hasOwnProperty" "then" "NaN" "" "\\n\\t\\r"'.split(" "),
  '"\\u0000" "a\\u0000b" "\\u0001\\u001f\\u007f\\u0080" "\\ufeff" "\\uffff" "\\u202ea\\u2066"'.split(
    " ",
  ),
  '"\\ud800" "\\udc00" "a\\udfff\\ud83db" "\\ud83c\\udde8" "e\\u0301\\u0301" "\\u200b\\u200d"'.split(
    " ",
  ),
  '"👩‍👩‍👧‍👦" "ﷺ" "[MASK]" "[MASK][MASK]" "[CLS][SEP][PAD][UNK]" "##s" "{}" "{}{}" "%s%n"'.split(" "),
  '"<e1></e1><e2></e2>" "<e1>a</e1>" "</e2><e1>" "<e1><e2>a</e1></e2>" "../../etc" "$(id)"'.split(
    " ",
  ),
  [nested("[", "]", 200), nested("[", "]", 20_000), nested('{"a":', "}", 300)],
  ["a".repeat(300), "word ".repeat(2_000), "\u0301".repeat(2_000), "x".repeat(100_000)].map(quoted),
  [quoted("\u0000".repeat(5_000)), quoted(" ")],
  [JSON.stringify(Array(3_000).fill("")), JSON.stringify(Array(3_000).fill(7))],
].flat();

const names: readonly string[] = [
  "__proto__ constructor prototype toString valueOf hasOwnProperty then a.b 0 -1 length".split(" "),
  "model inputs parameters options webhook task truncate labels INPUTS top_k".split(" "),
  ["", " ", "inputs ", "\u0000", "\ud800", "k".repeat(10_000)],
].flat();

type Path = readonly string[];

function placesOf(value: Json, path: Path = []): Path[] {
  if (value === null || typeof value !== "object") return [path];
  return [path, ...Object.entries(value).flatMap(([key, of]) => placesOf(of, [...path, key]))];
}

/** The value as text, where `write` may say otherwise for a path. */
function writeJson(value: Json, write: (path: Path) => string | null, path: Path = []): string {
  const own = write(path);
  if (own !== null) return own;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const parts = Object.entries(value).map(
    ([key, of]) => [key, writeJson(of, write, [...path, key])] as const,
  );
  if (Array.isArray(value)) return `[${parts.map(([, text]) => text).join()}]`;
  return `{${parts.map(([key, text]) => `${quoted(key)}:${text}`).join()}}`;
}

function withValue(body: Json, random: Random): string {
  const place = pick<Path>(random, [[], ...placesOf(body)]);
  const value = pick(random, values);
  return writeJson(body, (path) => (path.join("/") === place.join("/") ? value : null));
}

function isObject(body: Json): body is { readonly [key: string]: Json } {
  return body !== null && typeof body === "object" && !Array.isArray(body);
}

function fieldsOf(body: Json): [string, string][] {
  return isObject(body) ? Object.entries(body).map(([key, of]) => [key, JSON.stringify(of)]) : [];
}

function writeFields(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([key, text]) => `${quoted(key)}:${text}`).join()}}`;
}

type Change = (body: Json, random: Random) => string;

const ofFields: readonly Change[] = [
  // A field that is unknown, missing, given twice, under another name.
  (body: Json, random: Random) =>
    writeFields([...fieldsOf(body), [pick(random, names), pick(random, values)]]),
  (body: Json, random: Random) => {
    const fields = fieldsOf(body);
    return writeFields(fields.toSpliced(Math.floor(random() * fields.length), 1));
  },
  (body: Json, random: Random) => {
    const fields = fieldsOf(body);
    const [key = "", text = ""] = fields[Math.floor(random() * fields.length)] ?? [];
    return writeFields([...fields, [key, random() < 0.5 ? text : pick(random, values)]]);
  },
  (body: Json, random: Random) => {
    const fields = fieldsOf(body);
    const at = Math.floor(random() * fields.length);
    return writeFields(fields.with(at, [pick(random, names), fields[at]?.[1] ?? ""]));
  },
];

const encoder = new TextEncoder();

function bytesOf(text: string, random: Random): Uint8Array {
  const bytes = encoder.encode(text);
  const at = Math.floor(random() * bytes.length);
  return pick<() => Uint8Array>(random, [
    () => bytes.slice(0, at),
    () => bytes.slice(at),
    () => bytes.with(at, 0xff),
    () => bytes.with(at, 0xc0),
    () => bytes.with(at, 0),
    () => Uint8Array.of(0xef, 0xbb, 0xbf, ...bytes),
    () => Uint8Array.of(...bytes, 0x7d),
    () => new Uint8Array(0),
    () => Uint8Array.from(Buffer.from(text, "utf16le")),
    () => Uint8Array.from({ length: 200 }, () => Math.floor(random() * 256)),
  ])();
}

const headers: readonly Record<string, string>[] = [
  { "content-type": "text/plain" },
  { "content-type": "application/x-www-form-urlencoded" },
  { "content-type": "multipart/form-data; boundary=x" },
  { "content-type": "application/json; charset=utf-16" },
  { "content-type": "," },
  { "content-type": "application/json", "content-encoding": "gzip" },
  { "content-type": "application/json", accept: "image/png" },
  { "content-type": "application/json", prefer: "respond-async, wait=-1" },
  { "content-type": "application/json", "idempotency-key": "é".repeat(10) },
];

const json = { "content-type": "application/json" } as const;

/** Another name at a place of the address. */
function elsewhere(address: string, random: Random): string {
  const name = encodeURIComponent(pick(random, names).toWellFormed());
  const parts = address.split("/");
  return parts.with(1 + Math.floor(random() * (parts.length - 1)), name).join("/");
}

/** One request, from one of the valid calls of a task. */
export function hostileRequest(calls: readonly ValidCall[], random: Random): HostileRequest {
  const { address, body } = pick(random, calls);
  const kind = random();
  const made = (text: string) => ({ address, headers: json, body: encoder.encode(text) });
  if (kind < 0.5) return made(withValue(body, random));
  if (kind < 0.8) return made(pick(random, ofFields)(body, random));
  if (kind < 0.93) return { address, headers: json, body: bytesOf(JSON.stringify(body), random) };
  if (kind < 0.97) return { ...made(JSON.stringify(body)), headers: pick(random, headers) };
  return { ...made(JSON.stringify(body)), address: elsewhere(address, random) };
}
