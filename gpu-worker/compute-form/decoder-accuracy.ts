/**
 * How far a decoder in a reduced form is from itself in f32: the next token's distribution at every token that it
 * writes in f32.
 */
import * as z from "zod";
import { inThread } from "../event-loop/in-thread.ts";
import { wholeText } from "../model/decoder-feeds.ts";
import type { Session } from "../runtime/session.ts";
import { compareLogits, module } from "./compare-logits.ts";
import type { Sums } from "./compare-logits.ts";
import type { DecoderSample } from "./decoder-samples.ts";

export const DecoderFigures = z.object({
  /** Mean of the Kullback-Leibler divergence, in nats. */
  divergence: z.number(),
  /** Mean of what the text's own next token's log probability differs by. */
  logprobShift: z.number(),
  /** Share of the places where both forms put the same token first, or one that f32 holds nearly as likely. */
  agreement: z.number(),
});
export type DecoderFigures = z.infer<typeof DecoderFigures>;

const bounds = { divergence: 0.006, logprobShift: 0.05, agreement: 0.98 };

/** False where a figure is not a number. */
export function isAccurateDecoder(figures: DecoderFigures): boolean {
  return (
    figures.divergence <= bounds.divergence &&
    figures.logprobShift <= bounds.logprobShift &&
    figures.agreement >= bounds.agreement
  );
}

/**
 * Of the model that most begin with, by the sha256 of its weights: it starts without being compared. As
 * `measureDecoders` found.
 */
const shipped: ReadonlyMap<string, Readonly<Record<string, DecoderFigures>>> = new Map([
  [
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    {
      int8: { divergence: 0.003, logprobShift: 0.0408, agreement: 0.995 },
      "int8-rotated": { divergence: 0.0046, logprobShift: 0.0454, agreement: 0.995 },
      int4: { divergence: 0.0033, logprobShift: 0.0409, agreement: 0.9975 },
    },
  ],
]);

/** Null: they are to be measured. */
export function shippedFigures(weights: string): Readonly<Record<string, DecoderFigures>> | null {
  return shipped.get(weights) ?? null;
}

async function logitsOf(
  session: Session,
  ids: readonly number[],
  signal: AbortSignal,
): Promise<Float32Array<ArrayBuffer>> {
  const feeds = wholeText(session, ids);
  const { logits } = await session.run(feeds, { outputs: ["logits"], signal });
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives float32 logits");
  return new Float32Array(logits.data);
}

/**
 * @param exact the decoder in f32
 * @returns the figures of each other session, in order @throws the signal's reason
 */
export async function measureDecoders(
  exact: Session,
  others: readonly Session[],
  { samples, signal }: { samples: readonly DecoderSample[]; signal: AbortSignal },
): Promise<DecoderFigures[]> {
  const all = others.map((): Sums => ({ divergence: 0, logprobShift: 0, agreeing: 0, places: 0 }));
  for (const sample of samples) {
    const wanted = await logitsOf(exact, sample.ids, signal);
    for (const [at, sums] of all.entries()) {
      const session = others[at];
      if (session === undefined) continue;
      const found = await logitsOf(session, sample.ids, signal);
      const args: Parameters<typeof compareLogits> = [wanted, found, sample];
      const { buffer, byteLength: bytes } = found;
      const options = { signal, bytes, transfer: [buffer] };
      const more = await inThread(module, compareLogits, args, options);
      sums.divergence += more.divergence;
      sums.logprobShift += more.logprobShift;
      sums.agreeing += more.agreeing;
      sums.places += more.places;
    }
  }
  return all.map(({ divergence: sum, logprobShift, agreeing, places }) => ({
    divergence: sum / places,
    logprobShift: logprobShift / places,
    agreement: agreeing / places,
  }));
}
