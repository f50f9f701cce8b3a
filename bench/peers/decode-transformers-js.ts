/**
 * Peer of bench/decode.ts: transformers.js on an export of the same decoder, in a process of its own, from so many
 * callers that each wait for their answer.
 * Usage: decode-transformers-js.ts MODEL_FOLDER THREADS < {"prompts": [[id, …], …], "newTokens": N}
 * Prints one JSON object: new tokens a second over all callers, one for each prompt, and one batch of all prompts.
 */
import path from "node:path";
import process from "node:process";
import { json } from "node:stream/consumers";
import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";
import * as z from "zod";

const Request = z.object({
  /** Of one length. */
  prompts: z.array(z.array(z.int())).min(1),
  newTokens: z.int().positive(),
});

const [folder = "", threads = "2"] = process.argv.slice(2);
const { prompts, newTokens } = Request.parse(await json(process.stdin));
env.allowRemoteModels = false;
env.localModelPath = path.dirname(folder);
const model = await AutoModelForCausalLM.from_pretrained(path.basename(folder), {
  device: "cpu",
  dtype: "fp32",
  session_options: { intraOpNumThreads: Number(threads) },
});

function tensorOf(rows: readonly (readonly number[])[]): Tensor {
  const ids = BigInt64Array.from(rows.flat(), BigInt);
  return new Tensor("int64", ids, [rows.length, rows[0]?.length ?? 0]);
}

/** Greedy, and on to the last token whatever the model says. */
function generate(rows: readonly (readonly number[])[], tokens = newTokens): Promise<unknown> {
  const inputs = tensorOf(rows);
  const attention_mask = new Tensor("int64", new BigInt64Array(inputs.size).fill(1n), [
    ...inputs.dims,
  ]);
  return model.generate({
    inputs,
    attention_mask,
    min_new_tokens: tokens,
    max_new_tokens: tokens,
    do_sample: false,
  });
}

async function rateOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (prompts.length * newTokens * 1_000) / (performance.now() - start);
}

await generate(prompts.slice(0, 1), 4);
const callers = await rateOf(() => Promise.all(prompts.map((prompt) => generate([prompt]))));
const batch = await rateOf(() => generate(prompts));
console.log(JSON.stringify({ callers, batch }));
