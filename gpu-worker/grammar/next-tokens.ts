/** What a thread says of the tokens that come next, as an engine is told it. */
import type { NextTokens } from "../model/token-constraint.ts";
import type { ForcedTokens } from "./forced-tokens.ts";
import type { ThreadAnswer } from "./thread-protocol.ts";

export async function nextTokens(answer: ThreadAnswer, forcing: ForcedTokens): Promise<NextTokens> {
  if (answer.kind !== "next") throw new Error("a thread answered something else");
  const { allowed, forced, final, closing } = answer.next;
  return { allowed, closing, forced: await forcing.tokensOf(forced, final) };
}
