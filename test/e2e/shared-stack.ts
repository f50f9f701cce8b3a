/** A running stack that other files call too, at the same time: see shared-stacks.ts. */
import { inject } from "vitest";
import * as z from "zod";
import { processId, type RunningStack } from "../../infra/local/start-stack.ts";
import type { StackName } from "./shared-stacks.ts";

/** Without what would be felt by others. */
export type SharedStack = Pick<RunningStack, "url" | "operatorKey" | "pid">;

const Answer = z.object({ url: z.string(), operatorKey: z.string(), state: z.string() });

/** Started now, where nobody has asked for it before. */
export async function sharedStack(name: StackName): Promise<SharedStack> {
  const response = await fetch(`${inject("sharedStacks")}/${name}`);
  if (!response.ok) throw new Error(await response.text());
  const { url, operatorKey, state } = Answer.parse(await response.json());
  return { url, operatorKey, pid: (process) => processId(state, process) };
}
