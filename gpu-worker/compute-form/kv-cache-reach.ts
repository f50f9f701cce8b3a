/**
 * How far a decoder's keys and values reach, in texts that it writes itself, and what it strays by where they are kept
 * in int8 up to there: on other texts than those that were measured.
 */
import { measureReach } from "../architectures/kept-reach.ts";
import type { LayerReach } from "../architectures/kept-reach.ts";
import { wholeText } from "../model/decoder-feeds.ts";
import type { Session } from "../runtime/session.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { measureDecoders } from "./decoder-accuracy.ts";
import type { DecoderFigures } from "./decoder-accuracy.ts";
import { decoderSamples, sampleTexts } from "./decoder-samples.ts";
import type { Reading } from "./decoder-samples.ts";

/** @param session keeps them as floats @throws the signal's reason */
export async function measureKvReach(
  session: Session,
  tokenizer: Tokenizer,
  reading: Reading,
): Promise<LayerReach[]> {
  const samples = await decoderSamples(session, tokenizer, { ...reading, first: sampleTexts });
  const seen: Readonly<Record<string, Tensor>>[] = [];
  for (const { ids } of samples) {
    seen.push(await session.run(wholeText(session, ids), { signal: reading.signal }));
  }
  return measureReach(seen);
}

/** What `rounded`, the same decoder with an int8 cache, differs from it by. @throws the signal's reason */
export async function measureKvLoss(
  session: Session,
  rounded: Session,
  { tokenizer, ...reading }: Reading & { tokenizer: Tokenizer },
): Promise<DecoderFigures> {
  const samples = await decoderSamples(session, tokenizer, reading);
  const { signal } = reading;
  const [figures] = await measureDecoders(session, [rounded], { samples, signal });
  if (figures === undefined) throw new Error("one session gives one row of figures");
  return figures;
}
