/**
 * Microseconds from a row of 49 152 logits to a token, by what filters them and by how many tokens a constraint allows:
 * a mask costs a row little, whatever is in it.
 */
import { type LogitsRow, Sampler } from "../gpu-worker/llm/sampler.ts";
import { type Random, randomFrom } from "../contract/random.ts";
import { greedy } from "../test/llm/write-text.ts";
import { type Bench, comparedRow, type Row } from "./bench.ts";

const vocabulary = 49_152;
const rounds = 300;
/** The best of the rounds counts: short ones, which nothing else interrupts. */
const rowsPerRound = 4;

const sampling = {
  greedy: {},
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

export const bench: Bench = {
  summary: "microseconds from a row of logits to a token, with masks of all kinds and without",
  run: async ({ print }) => {
    const random = randomFrom(1);
    const logits = Float32Array.from({ length: vocabulary }, () => {
      return Math.log((random() + 1e-6) / (random() + 1e-6)) * 2;
    });
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
      const row: LogitsRow = {
        parameters: { ...greedy, ...parameters },
        promptTokens: new Set(),
        outputCounts: new Map(),
        choice: 0,
        position: 0,
        allowed: null,
      };
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
    return rows;
  },
};
