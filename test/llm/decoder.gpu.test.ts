/**
 * Decoders in f16 on a GPU beside the CPU's f32: skipped, with the reason, where CUDA cannot be used. The engine's
 * slots lie on the device, and logits alone come back.
 */
import { describe, expect, it } from "vitest";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { Engine } from "../../gpu-worker/llm/engine.ts";
import type { EngineModel } from "../../gpu-worker/llm/engine-limits.ts";
import type { Provider } from "../../gpu-worker/runtime/session.ts";
import { tinyDecoder } from "../runtime/tiny-decoder.ts";
import { writeText, type Written } from "./write-text.ts";
import { openCuda } from "../runtime/open-cuda.ts";

const { runtime, hasCuda } = await openCuda();

const positions = 64;
const vocabularySize = 41;

async function open(name: string, captures: boolean) {
  const bytes = await tinyDecoder(name, positions, "f16", { mixed: !captures });
  return runtime.load({ bytes }, { threads: 1, provider: "cuda", captures });
}

/** Side by side, so long that each window's steps are repeated. */
async function longTexts(model: EngineModel): Promise<number[][][]> {
  const engine = new Engine(model, {
    scheduler: new SlotScheduler(),
    now: () => performance.now(),
  });
  const write = (at: number) => writeText(engine, [3 + at, 7, 9], { maxTokens: 24 + 8 * at });
  const written = await Promise.all([0, 1, 2, 3].map(write));
  await engine.release(new Error("over"));
  return written.map(({ tokens }) => tokens);
}

/** The likeliest next tokens of several texts side by side, with their log probabilities. */
async function scores(name: string, form: DecoderForm, provider: Provider): Promise<Written[]> {
  const bytes = await tinyDecoder(name, positions, form);
  const session = await runtime.load({ bytes }, { threads: 1, provider });
  const engine = new Engine(
    {
      id: name,
      session,
      rowsMin: 1,
      limits: { maxTokens: positions, dimensions: null, vocabularySize },
    },
    { scheduler: new SlotScheduler(), now: () => performance.now() },
  );
  const prompts = [3, 9, 17].map((length) => Array.from({ length }, (_, at) => (at * 7) % 40));
  const options = { maxTokens: 1, sampling: { topLogprobs: 5 } };
  const written = await Promise.all(prompts.map((prompt) => writeText(engine, prompt, options)));
  await engine.release(new Error("over"));
  await session.release();
  return written;
}

describe.skipIf(!hasCuda)("decoders on CUDA", () => {
  it.each(["llama-yarn", "gemma3-old-form", "qwen3-yarn-tied-bf16"])("%s", async (name) => {
    const [ours, exact] = [await scores(name, "f16", "cuda"), await scores(name, "f32", "cpu")];
    for (const [at, { scores: rows }] of exact.entries()) {
      const expected = rows[0]?.[0]?.topLogprobs.map(({ logprob }) => logprob) ?? [];
      const found = ours[at]?.scores[0]?.[0]?.topLogprobs.map(({ logprob }) => logprob) ?? [];
      expect(found).toHaveLength(expected.length);
      for (const [rank, logprob] of expected.entries()) {
        expect(Math.abs((found[rank] ?? Number.NaN) - logprob)).toBeLessThan(0.05);
      }
    }
  });

  it.each(["llama-yarn", "gemma3-old-form", "qwen3-yarn-tied-bf16"])(
    "%s repeats its steps as CUDA graphs, which are what plain ones are",
    async (name) => {
      const [session, capturing] = [await open(name, false), await open(name, true)];
      const lost: string[] = [];
      const steps = { session: capturing, onLost: (reason: string) => void lost.push(reason) };
      const limits = { maxTokens: positions, dimensions: null, vocabularySize };
      const plain = { id: name, session, rowsMin: 1, limits };
      const [repeated, expected] = [await longTexts({ ...plain, steps }), await longTexts(plain)];
      expect({ lost, repeated }).toEqual({ lost: [], repeated: expected });
      await Promise.all([session.release(), capturing.release()]);
    },
  );
});
