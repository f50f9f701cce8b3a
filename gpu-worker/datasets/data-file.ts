/**
 * A training file as it comes: its head is judged by the contract's own rules, so that a worker and the edge agree,
 * and then all of it is read as rows. Nothing but the head and a line is ever held.
 */
import type { Layout } from "#contract/training/container.ts";
import { type Head, judgeHead } from "#contract/training/judge-head.ts";
import { parseJsonLine } from "#contract/training/json-line.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { Problem } from "#contract/training/problems.ts";
import { conllRows } from "./conll-rows.ts";
import { type BadLine, LineSplitter, type TextLine } from "./lines.ts";
import type { Row, RowReader } from "./row.ts";
import { tableRows } from "./table-rows.ts";

export type DataSource = {
  /** Null: it has none. It tells plain text alone. */
  readonly name: string | null;
  /** Read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
};

export type DataFile = {
  head: Head | { problems: Problem[] };
  /**
   * Rows as bytes come, those that end in the same piece together; ends early where the file is too large. Read once,
   * and with a good head alone.
   */
  rows(layout: Layout): AsyncGenerator<Row[]>;
  /** So far. */
  readonly bytesRead: number;
  /** Whether it has more bytes than a file may have. */
  readonly tooLarge: boolean;
  /** Ends the reading of the source. */
  close(): Promise<void>;
};

const { headBytes, fileBytesMax } = trainingLimits;

/** @throws what the source throws */
export async function openDataFile({ name, bytes }: DataSource): Promise<DataFile> {
  const chunks = bytes[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let bytesRead = 0;
  let ended = false;
  while (bytesRead <= headBytes && !ended) {
    const next = await chunks.next();
    if (next.done === true) ended = true;
    else bytesRead += first[first.push(next.value) - 1]?.length ?? 0;
  }
  const head = judgeHead(Buffer.concat(first).subarray(0, headBytes), {
    name,
    complete: ended && bytesRead <= headBytes,
  });
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (const chunk of first.splice(0)) yield* piecesOf(chunk);
    while (bytesRead <= fileBytesMax) {
      const next = await chunks.next();
      if (next.done === true) return;
      bytesRead += next.value.length;
      yield* piecesOf(next.value);
    }
  }
  return {
    head,
    async *rows(layout) {
      const splitter = new LineSplitter();
      const reader = readerOf(layout);
      const read = (lines: Iterable<TextLine | BadLine>) =>
        Array.from(lines).flatMap((line) => [...reader.push(line)]);
      for await (const piece of pieces()) {
        if (bytesRead > fileBytesMax) break;
        yield read(splitter.push(piece));
      }
      // Of a file that is too large nothing tells what its last line would have been, unless that was too long already.
      const last = [...splitter.end()];
      if (bytesRead > fileBytesMax) yield read(last.filter(isTooLong));
      else yield [...read(last), ...reader.end()];
    },
    get bytesRead() {
      return bytesRead;
    },
    get tooLarge() {
      return bytesRead > fileBytesMax;
    },
    async close() {
      await chunks.return?.();
    },
  };
}

/** What comes in one piece is held as rows at once. */
const pieceBytes = 1 << 16;

function* piecesOf(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; at += pieceBytes) yield chunk.subarray(at, at + pieceBytes);
}

function isTooLong(line: TextLine | BadLine): boolean {
  return "fault" in line && line.fault.code === "line_too_long";
}

function readerOf(layout: Layout): RowReader {
  switch (layout.container) {
    case "csv":
    case "tsv":
      return tableRows(layout);
    case "conll":
      return conllRows(layout.columnCount);
    case "text":
      return lineRows((text) =>
        text.includes("\0")
          ? { fault: { code: "nul_character", field: "the text" } }
          : { fields: { text } },
      );
    default:
      return lineRows(parseJsonLine);
  }
}

/** A line each; blank ones are passed over. */
function lineRows(parse: typeof parseJsonLine): RowReader {
  return {
    *push(line) {
      if ("fault" in line) yield { line: line.number, faults: [line.fault] };
      if ("fault" in line || line.text.trim() === "") return;
      const parsed = parse(line.text);
      if ("fault" in parsed) yield { line: line.number, faults: [parsed.fault] };
      else yield { line: line.number, fields: parsed.fields };
    },
    *end() {
      // Each line is whole.
    },
  };
}
