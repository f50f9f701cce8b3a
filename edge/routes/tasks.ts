/**
 * POST /v1/tasks/{task}: any task of the contract in one form, a batch of inputs for a model. `noop` travels the whole path
 * and is the operator's alone: it measures, and nobody is charged for it.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { Task, type TaskInput, tasks } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { estimateUnits } from "../estimate-units.ts";
import { type JobRequest, modelForTask } from "../job-request.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { serveJob } from "../serve-job.ts";
import { checkTokenIds } from "../text-inputs.ts";
import { validate } from "../validation.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const rest = { model: z.string().min(1).max(200), ...webhookFields } as const;
const inputsOf = <T extends z.ZodType>(input: T) => z.array(input).min(1).max(limits.inputsMax);

export const TaskRequests = {
  noop: z.strictObject({
    inputs: inputsOf(tasks.noop.input),
    parameters: tasks.noop.parameters.optional(),
    ...rest,
    /** No model is involved; a name is taken and not looked up. */
    model: rest.model.default("noop"),
  }),
  "feature-extraction": z.strictObject({
    inputs: inputsOf(tasks["feature-extraction"].input),
    parameters: tasks["feature-extraction"].parameters.optional(),
    ...rest,
  }),
  "sentence-similarity": z.strictObject({
    inputs: inputsOf(tasks["sentence-similarity"].input),
    parameters: tasks["sentence-similarity"].parameters.optional(),
    ...rest,
  }),
} as const satisfies Record<Task, z.ZodType>;

/** What each task still has to be held to once the model is known. */
const checks: { [T in Task]: (inputs: TaskInput<T>[], model: ModelListing) => void } = {
  noop: () => undefined,
  "feature-extraction": (inputs, model) =>
    checkTokenIds({ inputs, single: false }, model, "inputs"),
  "sentence-similarity": () => undefined,
};

export function runTask(c: EdgeContext): Promise<Response> {
  const name = c.req.param("task") ?? "";
  const task = Task.safeParse(name);
  if (!task.success) throw unknownTask(name);
  if (task.data === "noop") refuseUnlessOperator(c);
  return serveJob(c, readers[task.data]);
}

const readers = {
  noop: async (_, body) => {
    const { model, inputs, parameters, ...webhook } = validate(TaskRequests.noop, body);
    return job("noop", { model, inputs, parameters, units: 0, webhook });
  },
  "feature-extraction": async (c, body) => {
    const task = "feature-extraction";
    const { model: name, inputs, parameters, ...webhook } = validate(TaskRequests[task], body);
    const { model, units } = await costOf(c, { task, name, inputs });
    return job(task, { model, inputs, parameters, units, webhook });
  },
  "sentence-similarity": async (c, body) => {
    const task = "sentence-similarity";
    const { model: name, inputs, parameters, ...webhook } = validate(TaskRequests[task], body);
    const { model, units } = await costOf(c, { task, name, inputs });
    return job(task, { model, inputs, parameters, units, webhook });
  },
} as const satisfies Record<Task, (c: EdgeContext, body: unknown) => Promise<JobRequest>>;

async function costOf<T extends Task>(
  c: EdgeContext,
  { task, name, inputs }: { task: T; name: string; inputs: TaskInput<T>[] },
): Promise<{ model: string; units: number }> {
  const model = await modelForTask(c, name, task);
  checks[task](inputs, model);
  const units = estimateUnits(task, inputs, model.limits?.maxTokens ?? null);
  return { model: model.id, units };
}

type Read = Pick<JobRequest, "model" | "inputs" | "units" | "webhook"> & {
  parameters: Record<string, unknown> | undefined;
};

function job(task: Task, { model, inputs, parameters, units, webhook }: Read): JobRequest {
  return {
    task,
    model,
    parameters: parameters ?? {},
    inputs,
    rendering: { route: "tasks" },
    warnings: [],
    units,
    cacheable: task !== "noop",
    webhook,
  };
}

function unknownTask(name: string): CodedError {
  return new CodedError(
    "not_found",
    `There is no task ${JSON.stringify(name.slice(0, 100))}. Use one of ${Object.keys(tasks).join(", ")}.`,
    { param: "task" },
  );
}

function refuseUnlessOperator(c: EdgeContext): void {
  if (c.get("caller").operator) return;
  throw new CodedError(
    "insufficient_permissions",
    "The task noop is the operator's. Send the operator key as a bearer token.",
  );
}
