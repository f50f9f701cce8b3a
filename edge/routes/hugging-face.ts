/**
 * POST /hf/models/{id} and /hf/models/{id}/pipeline/{task}: Hugging Face's task API. Ids may hold a "/". Without a task in
 * the address the body's shape decides, then the model's own first task.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { type Task, tasks } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { estimateUnits } from "../estimate-units.ts";
import { type JobRequest, modelForTask } from "../job-request.ts";
import { modelNamed } from "../registry/known-models.ts";
import { serveJob } from "../serve-job.ts";
import { readTexts, TextForms } from "../text-inputs.ts";
import { validate } from "../validation.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

export const FeatureExtractionRequest = z.strictObject({
  inputs: z.union([TextForms.text, TextForms.texts]),
  ...tasks["feature-extraction"].parameters.shape,
  ...webhookFields,
});

export const SentenceSimilarityRequest = z.strictObject({
  inputs: tasks["sentence-similarity"].input,
  parameters: tasks["sentence-similarity"].parameters.optional(),
  ...webhookFields,
});

const FeatureExtractionBody = FeatureExtractionRequest.extend({ inputs: z.unknown() });

/** Reads a body of this task for the model it names. */
type TaskReader = (c: EdgeContext, name: string, body: unknown) => Promise<JobRequest>;

/** The tasks that exist under /hf, each with its reader. noop has no form there. */
const readers = {
  "feature-extraction": readFeatureExtraction,
  "sentence-similarity": readSentenceSimilarity,
} as const satisfies Partial<Record<Task, TaskReader>>;

type ServedTask = keyof typeof readers;

export function runPipeline(c: EdgeContext): Promise<Response> {
  const { id, task } = addressed(c);
  if (task !== null && !isServed(task)) throw unknownTask(task);
  return serveJob(c, async (context, body) => {
    const served = task ?? (await taskOf(context, id, body));
    return readers[served](context, id, body);
  });
}

/** The model and the task, if any, of `/hf/models/{id}[/pipeline/{task}]`. */
function addressed(c: EdgeContext): { id: string; task: string | null } {
  const rest = c.req.param("rest") ?? "";
  const named = /^(.+)\/pipeline\/([^/]+)$/.exec(rest);
  return { id: named?.[1] ?? rest, task: named?.[2] ?? null };
}

function isServed(task: string): task is ServedTask {
  return Object.hasOwn(readers, task);
}

function unknownTask(task: string): CodedError {
  const known = Object.keys(readers).join(", ");
  return new CodedError(
    "not_found",
    `There is no task ${JSON.stringify(task.slice(0, 100))} here. Use one of ${known}.`,
    { param: "task" },
  );
}

async function taskOf(c: EdgeContext, id: string, body: unknown): Promise<ServedTask> {
  const { inputs } = validate(z.looseObject({ inputs: z.unknown() }), body);
  const { tasks: ofModel } = await modelNamed(c, id);
  const hasSource = z.looseObject({ source_sentence: z.unknown() }).safeParse(inputs).success;
  if (hasSource) return "sentence-similarity";
  return ofModel.find(isServed) ?? "feature-extraction";
}

async function readFeatureExtraction(
  c: EdgeContext,
  name: string,
  body: unknown,
): Promise<JobRequest> {
  const { inputs, webhook, webhook_events_filter, webhook_secret, ...parameters } = validate(
    FeatureExtractionBody,
    body,
  );
  const texts = readTexts(inputs, "inputs");
  if (texts.inputs.some((input) => typeof input !== "string")) {
    throw new CodedError("invalid_value", "inputs must be a string or an array of strings.", {
      param: "inputs",
    });
  }
  const model = await modelForTask(c, name, "feature-extraction");
  return {
    task: "feature-extraction",
    model: model.id,
    parameters,
    inputs: texts.inputs,
    rendering: { route: "hugging-face", task: "feature-extraction", single: texts.single },
    warnings: [],
    units: estimateUnits("feature-extraction", texts.inputs, model.limits?.maxTokens ?? null),
    cacheable: true,
    webhook: { webhook, webhook_events_filter, webhook_secret },
  };
}

async function readSentenceSimilarity(
  c: EdgeContext,
  name: string,
  body: unknown,
): Promise<JobRequest> {
  const { inputs, parameters, ...webhook } = validate(SentenceSimilarityRequest, body);
  const model = await modelForTask(c, name, "sentence-similarity");
  return {
    task: "sentence-similarity",
    model: model.id,
    parameters: parameters ?? {},
    inputs: [inputs],
    rendering: { route: "hugging-face", task: "sentence-similarity", single: true },
    warnings: [],
    units: estimateUnits("sentence-similarity", [inputs], model.limits?.maxTokens ?? null),
    cacheable: true,
    webhook,
  };
}
