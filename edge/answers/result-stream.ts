/**
 * A result document (contract/result-document.ts) shown as it streams by: bytes in, the bytes of the body out. Held are
 * a chunk and the line or item that is not whole yet; outputs that are shown as the worker wrote them are never held
 * whole.
 */
import { freeBytes } from "../http/free-bytes.ts";
import type { ResultForm } from "./result-form.ts";
import { ListItems } from "./list-items.ts";

type Bytes = AsyncIterable<Uint8Array>;

const newline = 0x0a;
const comma = 0x2c;
const encoder = new TextEncoder();

/** @param lines of the document after its first, in chunks that may end anywhere; they are given away, and freed */
export async function* showLines(lines: Bytes, form: ResultForm): AsyncGenerator<Uint8Array> {
  yield encoder.encode(form.prefix);
  if (form.pieces === "items") yield* showItems(lines, form);
  else if (form.show === null) yield* joinLines(lines);
  else yield* showOutputs(lines, form.show);
  yield encoder.encode(form.suffix);
}

/** Newlines between lines become commas; the last one ends the document. */
async function* joinLines(lines: Bytes): AsyncGenerator<Uint8Array> {
  let ended = false;
  for await (const chunk of lines) {
    if (chunk.byteLength === 0) continue;
    if (ended) yield Uint8Array.of(comma);
    ended = chunk.at(-1) === newline;
    const shown = ended ? chunk.subarray(0, -1) : chunk;
    for (let at = shown.indexOf(newline); at !== -1; at = shown.indexOf(newline, at + 1)) {
      shown[at] = comma;
    }
    yield shown;
  }
}

async function* showOutputs(
  lines: Bytes,
  show: NonNullable<ResultForm["show"]>,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder();
  let begun = "";
  let index = 0;
  for await (const chunk of lines) {
    const whole = (begun + takeText(decoder, chunk)).split("\n");
    begun = whole.pop() ?? "";
    let text = "";
    for (const line of whole) {
      text += `${index === 0 ? "" : ","}${show(JSON.parse(line), index)}`;
      index += 1;
    }
    yield encoder.encode(text);
  }
}

async function* showItems(
  lines: Bytes,
  { show, listed, piecesMax }: ResultForm,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder();
  const list = new ListItems();
  let index = 0;
  let nested = false;
  for await (const chunk of lines) {
    let text = "";
    for (const item of list.push(takeText(decoder, chunk))) {
      if (index === 0) nested = listed(JSON.parse(item));
      if (index < piecesMax) {
        text += index === 0 ? (nested ? "[" : "") : ",";
        text += show === null ? item : show(JSON.parse(item), index);
      }
      index += 1;
    }
    yield encoder.encode(text);
  }
  if (index === 0 && listed(undefined)) yield encoder.encode("[]");
  else if (nested) yield encoder.encode("]");
}

function takeText(decoder: TextDecoder, chunk: Uint8Array): string {
  const text = decoder.decode(chunk, { stream: true });
  freeBytes(chunk);
  return text;
}
