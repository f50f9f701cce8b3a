/** GET /v1/models and /v1/models/{id}: OpenAI's model object, with what a caller of a shared platform wants to know. */
import * as z from "zod";
import { ModelLimits, ModelStatus } from "#contract/models.ts";
import { Task } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { knownModels, modelNamed } from "../registry/known-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { isOfEveryModel } from "../task-table.ts";

export const ModelObject = z.object({
  id: z.string(),
  object: z.literal("model"),
  /** Seconds since the epoch: when this platform first listed it. */
  created: z.int(),
  owned_by: z.string(),
  /** What the model does where a request names none: the first of `tasks`. Null: it failed before that was known. */
  task: Task.nullable(),
  tasks: z.array(Task),
  /** Other names that work, the hub id among them. */
  aliases: z.array(z.string()),
  status: ModelStatus,
  /** 0 to 1 while it is fetched or compiled. */
  progress: z.number().nullable(),
  /** Why it failed or is not here yet. */
  reason: z.string().nullable(),
  /** Whether a worker holds it in memory now. */
  loaded: z.boolean(),
  size_bytes: z.int().nullable(),
  limits: z
    .object({
      max_tokens: z.int(),
      dimensions: z.int().nullable(),
      vocabulary_size: z.int(),
    })
    .nullable(),
  licence: z.string().nullable(),
});
export type ModelObject = z.infer<typeof ModelObject>;

export const ModelList = z.object({ object: z.literal("list"), data: z.array(ModelObject) });

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
