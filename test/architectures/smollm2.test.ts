/**
 * SmolLM2-135M-Instruct from its GGUF file, in f32, against PyTorch on the same weights: logits, and the greedy tokens.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { emptyCache, noPiece } from "../../gpu-worker/model/decoder-feeds.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Session } from "../../gpu-worker/runtime/session.ts";
import { int64, type Tensor, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";

const models = path.resolve(import.meta.dirname, "../../../shared/models");
const file = path.join(models, "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
const here = existsSync(file);
if (!here) console.info("Skipped: SmolLM2 in ../shared/models, which is not on this machine");

type Chat = {
  input_ids: number[];
  /** By position. */
  top20_ids: number[][];
  top20_logits: number[][];
  greedy_ids: number[];
};
const references = path.join(models, "references/smollm2-logits.json");
const chats: Chat[] = here ? JSON.parse(readFileSync(references, "utf8")) : [];

const positionsMax = 256;
let session: Session;
const scratch = mkdtempSync(path.join(tmpdir(), "llm-os-smollm2-"));

type Cache = Record<string, Tensor>;

/**
 * Reads `ids` behind what is cached, `length` tokens in all.
 * @returns logits of the positions asked for, and the cache
 */
async function step(ids: number[], length: number, positions: number[], cache: Cache) {
  const { logits, ...present } = await session.run({
    input_ids: int64([1, ids.length], ids),
    lengths: tensor("int32", [1], Int32Array.of(length)),
    total_length: tensor("int32", [], Int32Array.of(length)),
    positions: int64([positions.length], positions),
    ...noPiece,
    ...cache,
  });
  if (logits?.dtype !== "float32") throw new Error("no logits");
  const states = Object.entries(present).map(([name, value]) => {
    return [name.replace("present", "past_key_values"), value] as const;
  });
  return { logits: logits.data, cache: Object.fromEntries(states) };
}

function indexOfLargest(row: Float32Array): number {
  return row.reduce((best, value, at) => (value > (row[best] ?? -Infinity) ? at : best), 0);
}

describe.skipIf(!here)("SmolLM2 from GGUF", () => {
  beforeAll(async () => {
    const { config, weights } = openGgufCheckpoint(file);
    const graph = path.join(scratch, "model.onnx");
    await writeModel(buildDecoder(config, weights, { positions: positionsMax }), graph);
    weights.close();
    const log = { info: () => {}, warn: console.warn };
    const runtime = await openRuntime({ log });
    session = await runtime.load({ path: graph }, { threads: 2, provider: "cpu" });
  });

  afterAll(async () => {
    await session?.release();
    rmSync(scratch, { recursive: true });
  });

  it.each(chats.map((chat, at) => [at, chat] as const))(
    "gives chat %d its logits within 1e-3, and its greedy tokens",
    async (_, { input_ids: ids, top20_ids, top20_logits, greedy_ids: greedy }) => {
      const every = ids.map((__, at) => at);
      let { logits, cache } = await step(
        ids,
        ids.length,
        every,
        emptyCache(session, 1, positionsMax),
      );
      const vocabulary = logits.length / ids.length;
      const differences = top20_ids.flatMap((row, at) =>
        row.map((id, rank) =>
          Math.abs((logits[at * vocabulary + id] ?? NaN) - (top20_logits[at]?.[rank] ?? NaN)),
        ),
      );
      expect(Math.max(...differences)).toBeLessThan(1e-3);
      const made: number[] = [];
      let last = logits.subarray((ids.length - 1) * vocabulary);
      while (made.length < greedy.length) {
        const token = indexOfLargest(last);
        made.push(token);
        ({ logits: last, cache } = await step([token], ids.length + made.length, [0], cache));
      }
      expect(made).toEqual(greedy);
    },
  );
});
