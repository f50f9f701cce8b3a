/**
 * How many rows a run of new tokens needs, so that each comes out to the bit as it does among any others. Of one row
 * ONNX Runtime multiplies 4-bit weights by another kernel on AVX2 than of several, which adds in another order; what is
 * rounded to 8 bits makes so much of that, that a text parts from what it is beside others within some tokens.
 */
import { type DecoderForm, decoderForms } from "../architectures/decoder-form.ts";
import { nextTokens } from "../model/decoder-feeds.ts";
import type { Session } from "../runtime/session.ts";

const past = 1;

async function firstRow(session: Session, rows: number, signal: AbortSignal): Promise<number[]> {
  const fed = nextTokens(session, rows, past);
  const { logits } = await session.run(fed, { outputs: ["logits"], signal });
  return Array.from(logits?.data.subarray(0, logits.data.length / rows) ?? [], Number);
}

/** @returns 1 or 2, measured on this machine */
export async function fewestRows(
  session: Session,
  form: DecoderForm,
  signal: AbortSignal,
): Promise<number> {
  if (!decoderForms[form].rounds) return 1;
  const alone = await firstRow(session, 1, signal);
  const among = await firstRow(session, 2, signal);
  return alone.every((logit, at) => logit === among[at]) ? 1 : 2;
}
