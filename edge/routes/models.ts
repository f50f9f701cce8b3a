/** GET /v1/models and /v1/models/{id}: OpenAI's model object, with what a caller of a shared platform wants to know. */
import * as z from "zod";
import { ModelLimits, ModelStatus } from "#contract/models.ts";
import { isOfEveryModel } from "#contract/task-table.ts";
import { Task } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { knownModels, modelNamed } from "../registry/known-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";

export const ModelObject = z.object({
  id: z.string().describe("The name to call it by."),
  object: z.literal("model").describe("What this is."),
  created: z.int().describe("When this platform first listed it, in seconds since the epoch."),
  owned_by: z.string().describe("Who published it."),
  task: Task.nullable().describe(
    "What it does where a request names no task. Null: it failed before that was known.",
  ),
  tasks: z.array(Task).describe("All that it does."),
  aliases: z.array(z.string()).describe("Other names that work, the hub's id among them."),
  status: ModelStatus.describe("Whether it can be called."),
  progress: z.number().nullable().describe("From 0 to 1 while it is fetched or compiled."),
  reason: z.string().nullable().describe("Why it failed or is not here yet."),
  loaded: z.boolean().describe("Whether a worker holds it in memory now."),
  size_bytes: z.int().nullable().describe("Size of its weights. Null: not known yet."),
  limits: z
    .object({
      max_tokens: z
        .int()
        .describe(
          "Longest text in tokens, special tokens included; of a model that writes, prompt and answer together.",
        ),
      dimensions: z.int().nullable().describe("Length of a sentence vector. Null: it makes none."),
      vocabulary_size: z.int().describe("Token ids are smaller than this."),
    })
    .nullable()
    .describe("What it takes. Null: not known yet."),
  licence: z.string().nullable().describe("Its licence. Null: not known."),
});
export type ModelObject = z.infer<typeof ModelObject>;

export const ModelList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(ModelObject).describe("The models."),
});

export async function listModels(c: EdgeContext): Promise<Response> {
  const { list } = await knownModels(c);
  return c.json({ object: "list", data: list.map(modelObject) } satisfies z.infer<
    typeof ModelList
  >);
}

export async function getModel(c: EdgeContext): Promise<Response> {
  return c.json(modelObject(await modelNamed(c, c.req.param("id") ?? "")));
}

function modelObject(model: ModelListing): ModelObject {
  return {
    id: model.id,
    object: "model",
    created: Math.floor(model.createdAtMs / 1_000),
    owned_by: ownerOf(model),
    task: model.tasks.find((task) => !isOfEveryModel(task)) ?? null,
    tasks: model.tasks,
    aliases: model.aliases,
    status: model.status,
    progress: model.progress,
    reason: model.reason,
    loaded: model.loaded,
    size_bytes: model.sizeBytes,
    limits: limitsObject(model.limits),
    licence: model.licence,
  };
}

/** Who published it, as its hub id says; what has none is the operator's own. */
function ownerOf({ aliases }: ModelListing): string {
  const owner = aliases.find((alias) => alias.includes("/"))?.split("/", 1)[0];
  return owner ?? "llm-os";
}

function limitsObject(limits: ModelLimits | null): ModelObject["limits"] {
  if (limits === null) return null;
  return {
    max_tokens: limits.maxTokens,
    dimensions: limits.dimensions,
    vocabulary_size: limits.vocabularySize,
  };
}
