/**
 * GET /v1/models, GET and DELETE /v1/models/{id}: OpenAI's model object, with what a caller of a shared platform wants
 * to know. Those that a key has tuned are listed to it, and deleted by it, alone.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import type { ModelLimits } from "#contract/model-limits.ts";
import { ModelStatus } from "#contract/models.ts";
import { isOfEveryModel } from "#contract/task-table.ts";
import { Task } from "#contract/tasks.ts";
import {
  type ReadyPrompt,
  readyPrompt,
  readyPrompts,
  writtenTasks,
} from "#contract/prompts/ready-prompts.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { knownModels, modelNamed } from "../registry/known-models.ts";
import { aliasCalled } from "../registry/model-alias.ts";
import { ownModels, removeOwnModel } from "../registry/own-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";

/** What a prompt of the platform does may be no task of a model's own. */
export const ModelTask = z.union([Task, z.enum(writtenTasks)]);

export const ModelObject = z.object({
  id: z.string().describe("The name to call it by."),
  object: z.literal("model").describe("What this is."),
  created: z.int().describe("When this platform first listed it, in seconds since the epoch."),
  owned_by: z.string().describe("Who published it."),
  task: ModelTask.nullable().describe(
    "What it does where a request names no task. Null: it failed before that was known.",
  ),
  tasks: z.array(ModelTask).describe("All that it does."),
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
  base_model: z
    .string()
    .optional()
    .describe("What it was tuned from, or of a prompt what answers it. Absent: neither."),
});
export type ModelObject = z.infer<typeof ModelObject>;

export const ModelList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(ModelObject).describe("The models."),
});

export const DeletedModel = z.object({
  id: z.string().describe("Of the model."),
  object: z.literal("model").describe("What it was."),
  deleted: z.literal(true).describe("It answers no more, within a second everywhere."),
});

/** The platform's prompts after its models, and the caller's own after all others. */
export async function listModels(c: EdgeContext): Promise<Response> {
  const [known, own] = await Promise.all([knownModels(c), ownModels(c)]);
  const { list } = known;
  const answering = known.find(settingsOf(c.env).promptModel);
  const { tenant } = c.get("caller");
  return c.json({
    object: "list",
    data: [
      ...list.map((model) => modelObject(model, tenant)),
      ...(answering === undefined
        ? []
        : readyPrompts.map((prompt) => promptObject(prompt, modelObject(answering, tenant)))),
      ...own.map((model) => modelObject(model, tenant)),
    ],
  } satisfies z.infer<typeof ModelList>);
}

export async function getModel(c: EdgeContext): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const { tenant } = c.get("caller");
  const prompt = readyPrompt(id);
  const model = modelObject(
    await modelNamed(c, prompt === undefined ? id : settingsOf(c.env).promptModel),
    tenant,
  );
  return c.json(prompt === undefined ? model : promptObject(prompt, model));
}

/** @param answering the model that it is given to */
function promptObject({ id, task }: ReadyPrompt, answering: ModelObject): ModelObject {
  return {
    ...answering,
    id,
    owned_by: "llm-os",
    task,
    tasks: [task, "chat-completion"],
    aliases: [],
    base_model: answering.id,
  };
}

/**
 * @throws CodedError `model_not_found`; `insufficient_permissions` for a model of the platform; `invalid_value` for an
 * alias, and for what one points to
 */
export async function deleteModel(c: EdgeContext): Promise<Response> {
  const id = c.req.param("id") ?? "";
  if (await removeOwnModel(c, id)) {
    return c.json({ id, object: "model", deleted: true } satisfies z.infer<typeof DeletedModel>);
  }
  if (readyPrompt(id) !== undefined) throw isPlatforms(id);
  const model = await modelNamed(c, id);
  const alias = aliasCalled(id);
  if (alias !== null) {
    throw new CodedError(
      "invalid_value",
      `${id} is an alias. Delete it as one: DELETE /v1/aliases/${alias}.`,
      { param: "model" },
    );
  }
  throw isPlatforms(model.id);
}

function isPlatforms(id: string): CodedError {
  return new CodedError(
    "insufficient_permissions",
    `${id} is the platform's, and cannot be deleted. A key may delete what it has tuned: ` +
      "models whose names begin with ft:.",
    { param: "model" },
  );
}

/** @param tenant whose a tuned model is: nobody else is shown it */
function modelObject(model: ModelListing, tenant: string): ModelObject {
  return {
    id: model.id,
    object: "model",
    created: Math.floor(model.createdAtMs / 1_000),
    owned_by: model.tuned === undefined ? ownerOf(model) : tenant,
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
    ...(model.tuned !== undefined && { base_model: model.tuned.base }),
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
