/** Ids of calls: the same whichever worker writes them, since a retry and the result must say what was told before. */
import { createHash } from "node:crypto";

type Place = { readonly input: number; readonly choice: number; readonly index: number };

/** As OpenAI's: `call_` and 24 letters and digits. */
export function callId(jobId: string, { input, choice, index }: Place): string {
  return `call_${lettersOf(`${jobId} ${input} ${choice} ${index}`, 24)}`;
}

/** The id of a call as a template wants it: of that length, the same for the same id. */
export function shortId(id: string, length: number): string {
  return id.length === length && /^[a-zA-Z0-9]*$/.test(id) ? id : lettersOf(id, length);
}

function lettersOf(text: string, length: number): string {
  const digest = createHash("sha256").update(text).digest("base64");
  return digest.replaceAll(/[^a-zA-Z0-9]/g, "0").slice(0, length);
}
