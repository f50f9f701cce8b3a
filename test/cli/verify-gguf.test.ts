/** `verify` of a folder with a GGUF file: the file is compiled, and a number that is wrong is found. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { verifyModel } from "../../gpu-worker/cli/verify-model.ts";
import { readingWholeTexts } from "../../gpu-worker/cli/whole-texts.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";

const made = path.resolve(import.meta.dirname, "../weights/made");
const folder = mkdtempSync(path.join(tmpdir(), "llm-os-gguf-"));
const ids = [1, 5, 9, 2, 7];
let runtime: Runtime;

beforeAll(async () => {
  runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
});

afterAll(() => rmSync(folder, { recursive: true }));

/** [tokens, vocabulary], of the same weights without the folder. */
async function logitsOf(file: string): Promise<number[][]> {
  const { config, weights } = openGgufCheckpoint(file);
  const bytes = await encodeModel(buildDecoder(config, weights, { positions: ids.length }));
  weights.close();
  const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
  const shape = [1, ids.length];
  const { logits } = await readingWholeTexts(session).run({
    input_ids: int64(shape, ids),
    attention_mask: int64(shape, Array(ids.length).fill(1)),
  });
  await session.release();
  const data = Array.from(logits?.data ?? [], Number);
  const vocabulary = data.length / ids.length;
  return ids.map((_, at) => data.slice(at * vocabulary, (at + 1) * vocabulary));
}

it.each(["llama", "qwen2", "qwen3", "gemma3"])("reads %s", async (family) => {
  const file = path.join(made, `${family}.gguf`);
  const logits = await logitsOf(file);
  copyFileSync(file, path.join(folder, "model.gguf"));
  const expectThat = (numbers: number[][]) =>
    writeFileSync(
      path.join(folder, "expected.json"),
      JSON.stringify({ input_ids: [ids], logits: [numbers] }),
    );
  expectThat(logits);
  expect(await verifyModel(folder, { runtime, threads: 1 })).toMatchObject({ passed: true });
  expectThat(logits.map((row, at) => (at === 2 ? row.map((value) => value + 0.1) : row)));
  expect(await verifyModel(folder, { runtime, threads: 1 })).toMatchObject({ passed: false });
});
