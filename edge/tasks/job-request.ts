/**
 * What a route makes of a body: a job that is fully checked, but not yet admitted. serve-job.ts takes it from there.
 */
import { CodedError } from "#contract/errors.ts";
import { isOfEveryModel, tasksOfModels, taskTable } from "#contract/task-table.ts";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import { isTunedModelName, TunedModelSource } from "#contract/training/tuned-model.ts";
import type { Rendering } from "../answers/rendering.ts";
import { renderError } from "../answers/surfaces.ts";
import type { EdgeContext } from "../context.ts";
import { knownModels, modelNamed } from "../registry/known-models.ts";
import type { Kept } from "../jobs/job-spec.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import type { WebhookFields } from "../webhooks/read-webhook.ts";
import { tooManyChoices } from "./choices.ts";
import { estimateUnits } from "./estimate-units.ts";
import { areModelsOwn, checkTokenIds } from "./token-ids.ts";

export type JobRequest = {
  task: Task;
  /** The model's own id, whatever name the caller used. */
  model: string;
  /** Id of the model that finds the entities of the inputs; null: none need be found, or none is known. */
  entityModel: string | null;
  parameters: Record<string, unknown>;
  inputs: unknown[];
  rendering: Rendering;
  /** Promises not kept to the letter, for `x-warnings`. */
  warnings: string[];
  /** Tokens, estimated. */
  units: number;
  /** False: its result is not kept. */
  cacheable: boolean;
  /** The answer is a stream of events (answers/stream-surfaces.ts), told while the result is made. */
  stream: boolean;
  webhook: WebhookFields;
  /** Where the files of the caller's own model are. Absent: workers know the model. */
  tuned?: TunedModelSource;
  /** Its caller comes back for the answer by an id of its own. Absent: by its job's alone. */
  kept?: Kept;
};

/** A task, its inputs and its parameters, parsed by the table of tasks. */
export type TaskCall<T extends Task> = {
  task: T;
  inputs: TaskInput<T>[];
  parameters: TaskParameters<T>;
};

export type Posed = Pick<JobRequest, "rendering" | "webhook"> & {
  /** Id or alias. */
  model: string;
  /** How the caller knows an input: `inputs[3]`. */
  nameOf: (index: number) => string;
  warnings?: string[];
  /** Default: the answer is the whole result. */
  stream?: boolean;
};

/** @throws CodedError as `modelForTask`, or where token ids are not the model's */
export async function jobRequest<T extends Task>(
  c: EdgeContext,
  call: TaskCall<T>,
  { model: name, nameOf, rendering, webhook, warnings = [], stream = false }: Posed,
): Promise<JobRequest> {
  const { task, inputs, parameters } = call;
  const model = await modelForTask(c, name, task);
  if (areModelsOwn(parameters)) {
    checkTokenIds(inputs, {
      model,
      nameOf,
      lengthMatters: mustFit(call) && !cuts(parameters),
      cuttable: Object.hasOwn(taskTable[task].parameters.shape, "truncate"),
    });
  }
  if (taskTable[task].makes !== undefined) checkChoices(call, rendering);
  return {
    task,
    model: model.id,
    entityModel: await entityModelOf(c, call, model),
    parameters: { ...parameters },
    inputs,
    rendering,
    warnings,
    units: estimateUnits(call, model),
    cacheable: taskTable[task].repeats?.(parameters) ?? true,
    stream,
    webhook,
    ...(model.tuned !== undefined && { tuned: TunedModelSource.parse(model.tuned) }),
  };
}

/** @throws CodedError where more are asked for than one request may have */
function checkChoices<T extends Task>({ inputs, parameters }: TaskCall<T>, rendering: Rendering) {
  const wrong = tooManyChoices(inputs.length, parameters);
  if (wrong === null) return;
  const { code, message, param } = renderError(rendering, wrong);
  throw new CodedError(code, message, param === null ? {} : { param });
}

async function entityModelOf<T extends Task>(
  c: EdgeContext,
  { task, inputs, parameters }: TaskCall<T>,
  model: ModelListing,
): Promise<string | null> {
  const { readsEntities } = taskTable[task];
  if (readsEntities === undefined || !inputs.some((input) => readsEntities(input))) return null;
  const named = "entity_model" in parameters ? parameters.entity_model : undefined;
  const name = typeof named === "string" ? named : (model.entityModel ?? null);
  if (name === null) return null;
  const found = (await knownModels(c)).find(name);
  if (found !== undefined || !isTunedModelName(name)) return found?.id ?? name;
  throw new CodedError(
    "invalid_value",
    "entity_model takes a model of the platform: a tuned one finds no entities for another. " +
      "Have it find them first (token-classification), and mark them in the text with <e1> and <e2>.",
    { param: "entity_model" },
  );
}

/** Whether each input must fit the model; what is read by windows, or only put together again, may be of any length. */
function mustFit<T extends Task>({ task, parameters }: TaskCall<T>): boolean {
  return taskTable[task].readsInWindows?.(parameters) !== true;
}

function cuts(parameters: object): boolean {
  return "truncate" in parameters && parameters.truncate === true;
}

/**
 * @throws CodedError `model_not_found`; `model_not_servable`, so that nothing is queued for it; `invalid_value` where
 * the model does not do the task; `model_unavailable` where it failed before its tasks could be told
 */
export async function modelForTask(
  c: EdgeContext,
  name: string,
  task: Task,
): Promise<ModelListing> {
  const model = await modelNamed(c, name);
  if (model.notServable) {
    throw new CodedError("model_not_servable", model.reason ?? `${model.id} cannot be served`, {
      param: "model",
    });
  }
  if (tasksOfModels(task).some((each) => model.tasks.includes(each))) return model;
  if (model.tasks.length > 0 && isOfEveryModel(task)) return model;
  if (model.tasks.length === 0) {
    throw new CodedError(
      "model_unavailable",
      `${model.id} is not usable: ${model.reason ?? "it failed"}`,
    );
  }
  throw new CodedError(
    "invalid_value",
    `${model.id} does not do ${task}. It does ${model.tasks.join(", ")}: use one of these, or another model.`,
    { param: "model" },
  );
}

/**
 * Fields of the published schema that we accept and do not act on.
 * @returns a warning for each that was sent
 * @throws CodedError `unsupported_parameter` with `?strict=1`
 */
export function noteUnused(c: EdgeContext, sent: Readonly<Record<string, unknown>>): string[] {
  const names = Object.keys(sent).filter((name) => sent[name] !== undefined);
  const [first] = names;
  if (first !== undefined && c.req.query("strict") === "1") {
    throw new CodedError(
      "unsupported_parameter",
      `${first} is not acted on here, and the request asked for strictness. Leave it out, or drop strict=1.`,
      { param: first },
    );
  }
  return names.map((name) => `${name}: accepted and not acted on`);
}
