/**
 * Microseconds from a row of 49 152 logits to a token, by what filters them and by how many tokens a constraint allows:
 * a mask costs a row little, whatever is in it. Then milliseconds for the rows of a step, read whole and by the sums of
 * their blocks.
 */
import { openLogitBlocks } from "../gpu-worker/graphs/open-logit-blocks.ts";
import { rowsOf } from "../gpu-worker/llm/logit-rows.ts";
import { type LogitsRow, Sampler } from "../gpu-worker/llm/sampler.ts";
import { logitBlockNames, logitBlocksOf } from "../gpu-worker/model/logit-blocks.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { tensor } from "../gpu-worker/tensor/tensor.ts";
import { type Random, randomFrom } from "../contract/random.ts";
import { madeLogits, rowOf } from "../test/llm/made-rows.ts";
import { type Bench, comparedRow, type Row } from "./bench.ts";

const vocabulary = 49_152;
const rounds = 300;
/** The best of the rounds counts: short ones, which nothing else interrupts. */
const rowsPerRound = 4;

const sampling = {
  greedy: { temperature: 0 },
  "temperature 1": { temperature: 1 },
  "top-p 0.95": { temperature: 1, topP: 0.95 },
  "top-k 40": { temperature: 1, topK: 40 },
  "min-p 0.05": { temperature: 1, minP: 0.05 },
};
const shares = [0.0005, 0.05, 0.5, 0.95, 1];

function maskOf(share: number, random: Random): Int32Array {
  const mask = new Int32Array(vocabulary / 32);
  for (let token = 0; token < vocabulary; token += 1) {
    if (random() < share) mask[token >>> 5] = (mask[token >>> 5] ?? 0) | (1 << (token & 31));
  }
  return mask;
}

const stepRows = 16;
const stepRounds = 50;

/** Milliseconds, the median. */
async function stepMs(step: () => void | Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < stepRounds; round += 1) {
    const startedAt = performance.now();
    await step();
    times.push(performance.now() - startedAt);
  }
  return times.toSorted((x, y) => x - y)[stepRounds >> 1] ?? Number.NaN;
}

/** What stands between a step of 16 texts and the next one. */
async function steps(print: (line: string) => void): Promise<Row[]> {
  const runtime = await openRuntime({ log: { info: () => undefined, warn: console.warn } });
  const outputs = [{ name: "logits", dtype: "float32" as const, shape: ["asked", vocabulary] }];
  const session = await openLogitBlocks({ provider: "cpu", outputs }, runtime);
  if (session === null) throw new Error("the CPU has them");
  const logits = madeLogits(stepRows * vocabulary, randomFrom(2));
  const value = await session.allocate("float32", [stepRows, vocabulary]);
  await value.write(tensor("float32", [stepRows, vocabulary], logits));
  const bound = session.bind({
    inputs: { [logitBlockNames.logits]: value },
    outputs: { [logitBlockNames.maxima]: "host", [logitBlockNames.sums]: "host" },
  });
  const inverse = tensor("float32", [stepRows], new Float32Array(stepRows).fill(1));
  const sampler = new Sampler(vocabulary);
  const rows: Row[] = [];
  for (const name of ["temperature 1", "top-p 0.95"] as const) {
    const row = rowOf(sampling[name]);
    const all = { logits, blocks: null };
    const at = (from: number) => rowsOf(all, vocabulary, { from, to: from + 1 }).logits;
    const whole = await stepMs(() => {
      for (let from = 0; from < stepRows; from += 1) sampler.sample(at(from), row);
    });
    const summed = await stepMs(async () => {
      const found = await bound.run({ [logitBlockNames.inverseTemperatures]: inverse });
      const known = { logits, blocks: logitBlocksOf(found) };
      for (let from = 0; from < stepRows; from += 1) {
        const own = rowsOf(known, vocabulary, { from, to: from + 1 });
        sampler.sample(own.logits, row, own.blocks);
      }
    });
    print(
      `${name}, ${stepRows} rows: ${whole.toFixed(2)} ms read whole, ${summed.toFixed(2)} by blocks`,
    );
    const peer = { name: "read whole", value: whole };
    rows.push(comparedRow(`${name}, ${stepRows} rows by blocks`, "ms", summed, peer));
  }
  await session.release();
  return rows;
}

export const bench: Bench = {
  summary: "microseconds from a row of logits to a token, with masks of all kinds and without",
  run: async ({ print }) => {
    const random = randomFrom(1);
    const logits = madeLogits(vocabulary, random);
    const sampler = new Sampler(vocabulary);
    const micros = (row: LogitsRow): number => {
      const startedAt = performance.now();
      for (let position = 0; position < rowsPerRound; position += 1) {
        sampler.sample(logits, { ...row, position });
      }
      return ((performance.now() - startedAt) * 1_000) / rowsPerRound;
    };
    const rows: Row[] = [];
    for (const [name, parameters] of Object.entries(sampling)) {
      const row = rowOf(parameters);
      const masked = shares.map((share) => ({ share, allowed: maskOf(share, random) }));
      const best = new Map<number | null, number>();
      for (let round = 0; round < rounds; round += 1) {
        for (const { share, allowed } of [{ share: null, allowed: null }, ...masked]) {
          const took = micros({ ...row, allowed });
          best.set(share, Math.min(took, best.get(share) ?? Infinity));
        }
      }
      const peer = { name: "no mask", value: best.get(null) ?? Number.NaN };
      print(`${name}: ${peer.value.toFixed(0)} µs without a mask`);
      for (const share of shares) {
        const label = `${name}, ${share * 100} % allowed`;
        rows.push(comparedRow(label, "µs", best.get(share) ?? Number.NaN, peer));
      }
    }
    return [...rows, ...(await steps(print))];
  },
};
