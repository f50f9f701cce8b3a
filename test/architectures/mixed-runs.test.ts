/**
 * A piece of a prompt read beside new tokens of other texts: both get, to the bit, what runs of their own give them. In
 * every family and form.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { emptyCache, noPiece } from "../../gpu-worker/model/decoder-feeds.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { isFormOf } from "./form-of-tiny.ts";
import { tinyDecoder } from "../runtime/tiny-decoder.ts";

const forms: readonly DecoderForm[] = ["f32", "f16", "int8", "int8-rotated", "int4"];
const names = readdirSync(path.join(import.meta.dirname, "decoders"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const room = 32;

/** Other texts, tokens of the piece, and where it begins. */
const mixes = [
  { texts: 1, piece: 2, from: 0 },
  { texts: 1, piece: 9, from: 4 },
  { texts: 2, piece: 1, from: 5 },
  { texts: 7, piece: 12, from: 20 },
];

const range = (length: number) => Array.from({ length }, (_, at) => at);
const int32 = (values: readonly number[]) =>
  tensor("int32", [values.length], Int32Array.from(values));

type Named = Record<string, Tensor>;

/** Keys and values of texts that were read before, any numbers. */
function filled(session: LoadedSession, texts: number, prefix: string): Named {
  const states = Object.entries(emptyCache(session, texts, room)).flatMap(([name, state]) => {
    if (name.startsWith("piece.")) return [];
    for (const at of state.data.keys()) {
      // In f16 these are bits.
      state.data[at] = state.dtype === "float32" ? Math.sin(at * 12.9 + texts) : (at * 37) % 0x3c00;
    }
    return [[prefix + name, state] as const];
  });
  return Object.fromEntries(states);
}

function feeds(shape: readonly number[], ids: readonly number[], lengths: readonly number[]) {
  return {
    input_ids: int64(shape, ids),
    lengths: int32(lengths),
    total_length: tensor("int32", [], Int32Array.of(Math.max(...lengths))),
    positions: int64([ids.length], range(ids.length)),
  };
}

const presentOf = (run: Named, prefix: string) =>
  Object.entries(run)
    .filter(([name]) => name.startsWith(`${prefix}present.`))
    .map(([, { data }]) => data);

function logitsOf({ logits }: Named): number[] {
  return Array.from(logits?.data ?? [], Number);
}

describe("a mixed run", () => {
  let runtime: Runtime;

  beforeAll(async () => {
    const log = { info: () => undefined, warn: () => undefined };
    runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
  });

  it.each(names)("of %s gives what runs by themselves give", async (name) => {
    for (const form of forms.filter((each) => isFormOf(name, each))) {
      const bytes = await tinyDecoder(name, room, form);
      const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
      const none = { ...noPiece, ...emptyCache(session, 1, room) };
      for (const { texts, piece, from } of mixes) {
        const tokens = range(texts).map((at) => (at * 7 + 3) % 40);
        const prompt = range(piece).map((at) => (at * 11 + 1) % 40);
        const lengths = range(texts).map((at) => 11 + 3 * at);
        const end = from + piece;
        const written = await session.run({
          ...none,
          ...feeds([texts, 1], tokens, lengths),
          ...filled(session, texts, ""),
        });
        const read = await session.run({
          ...none,
          ...feeds([1, piece], prompt, [end]),
          ...filled(session, 1, ""),
        });
        const both = await session.run({
          ...feeds([1, texts + piece], [...tokens, ...prompt], lengths),
          ...filled(session, texts, ""),
          piece_length: int32([end]),
          ...filled(session, 1, "piece."),
        });
        expect(logitsOf(both)).toEqual([...logitsOf(written), ...logitsOf(read)]);
        expect(presentOf(both, "")).toEqual(presentOf(written, ""));
        expect(presentOf(both, "piece.")).toEqual(presentOf(read, ""));
      }
      await session.release();
    }
  });
});
