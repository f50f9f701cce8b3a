/** Id and time of an answer of chat or completions, fixed with the call that had it made. */
import type { EdgeContext } from "../context.ts";

export type CompletionIdentity = {
  /** Begins like OpenAI's and ends like the call's own `x-request-id`. */
  id: string;
  /** Seconds since the epoch. */
  created: number;
};

export function completionIdentity(
  c: EdgeContext,
  prefix: "chatcmpl" | "cmpl",
): CompletionIdentity {
  const call = c.get("requestId").replace(/^req_/, "");
  return { id: `${prefix}-${call}`, created: Math.floor(Date.now() / 1_000) };
}
