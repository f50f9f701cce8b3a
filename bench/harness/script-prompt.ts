/** What a scripted worker is asked for, as the prompt of a text-generation job. */
import * as z from "zod";

export const ScriptPrompt = z.object({
  tokens: z.int().positive(),
  everyMs: z.number().positive(),
  /** After the steps of a clock that all streams share. */
  offsetMs: z.number().min(0),
  /** Each token is the time at which it was written; else its own number, the same whoever writes it. */
  stamped: z.boolean(),
  /** So that no two calls are the same. */
  call: z.string(),
});
export type ScriptPrompt = z.infer<typeof ScriptPrompt>;

export const scriptedModel = { id: "scripted", digest: "digest-of-the-script" } as const;

export function tokenText({ stamped }: ScriptPrompt, index: number): string {
  return stamped ? ` ${nowMs()}` : ` ${index}`;
}

/** Of a clock that all processes of the machine share, in milliseconds with their fractions. */
export function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
