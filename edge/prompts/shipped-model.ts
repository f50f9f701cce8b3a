/** The prompts that ship as models: where a worker has a model of the same name, it is that. */
import { type ReadyPrompt, readyPrompt } from "#contract/prompts/ready-prompts.ts";
import type { EdgeContext } from "../context.ts";
import { knownModels } from "../registry/known-models.ts";

export async function shippedModel(c: EdgeContext, name: string): Promise<ReadyPrompt | undefined> {
  const ready = readyPrompt(name);
  if (ready === undefined) return undefined;
  return (await knownModels(c)).find(name) === undefined ? ready : undefined;
}
