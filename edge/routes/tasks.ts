/**
 * POST /v1/tasks/{task}: any task of the contract in one form, a batch of inputs for a model. `noop` travels the whole
 * path and is the operator's alone: it measures, and nobody is charged for it.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { isTask, taskNames, taskTable } from "#contract/task-table.ts";
import type { Task } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { type JobRequest, jobRequest } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { listOf, readInputs, readParameters } from "../tasks/task-inputs.ts";
import { type WebhookFields, webhookFields } from "../webhooks/read-webhook.ts";

const model = ModelName;
const parametersDescription = "How the task is done. What is left out has its default.";
const Body = z.strictObject({
  model: model.optional(),
  inputs: z.unknown().optional(),
  parameters: z.unknown().optional(),
  ...webhookFields,
});

/** As published. What is read of `inputs` and `parameters` is said by the same schemas, one after the other. */
export function taskRequestSchema(task: Task): z.ZodType {
  const { input, parameters } = taskTable[task];
  const needed = !parameters.safeParse({}).success;
  return z.strictObject({
    /** For noop no model is involved; a name is taken and not looked up. */
    model: task === "noop" ? model.optional() : model,
    inputs: listOf(input).describe("What the task is done with. Each is answered by itself."),
    parameters: (needed ? parameters : parameters.optional()).describe(parametersDescription),
    ...webhookFields,
  });
}

export function runTask(c: EdgeContext): Promise<Response> {
  const name = c.req.param("task") ?? "";
  if (!isTask(name)) throw unknownTask(name);
  if (name === "noop") refuseUnlessOperator(c);
  return serveJob(c, (context, body) => readTask(context, name, body));
}

async function readTask(c: EdgeContext, task: Task, body: unknown): Promise<JobRequest> {
  const { model: name, inputs: given, parameters, ...webhook } = validate(Body, body);
  const inputs = readInputs(task, given, "inputs");
  const call = { task, inputs, parameters: readParameters(task, parameters, ["parameters"]) };
  if (task === "noop") return noopRequest(name ?? "noop", inputs, webhook);
  return jobRequest(c, call, {
    model: validate(model, name, ["model"]),
    nameOf: (index) => `inputs[${index}]`,
    rendering: { route: "tasks" },
    webhook,
  });
}

function noopRequest(name: string, inputs: unknown[], webhook: WebhookFields): JobRequest {
  return {
    task: "noop",
    model: name,
    entityModel: null,
    parameters: {},
    inputs,
    rendering: { route: "tasks" },
    warnings: [],
    units: 0,
    cacheable: false,
    stream: false,
    webhook,
  };
}

function unknownTask(name: string): CodedError {
  return new CodedError(
    "not_found",
    `There is no task ${JSON.stringify(name.slice(0, 100))}. Use one of ${taskNames.join(", ")}.`,
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
