/**
 * POST /hf/models/{id} and /hf/models/{id}/pipeline/{task}: Hugging Face's task API. Ids may hold a "/". Without a task
 * in the address the body's shape decides, then the model's own first task. How a task's body differs stands in its row
 * of the contract's table. Behind a model's address there are OpenAI's chat and completions too.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { huggingFaceTasks, isTask, taskTable } from "#contract/task-table.ts";
import { readyPrompt, type WrittenTask, writtenTasks } from "#contract/prompts/ready-prompts.ts";
import type { Task } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { modelNamed } from "../registry/known-models.ts";
import { fieldsOf } from "../tasks/fields-of.ts";
import { Options } from "../tasks/hugging-face-options.ts";
import { type JobRequest, jobRequest, noteUnused } from "../tasks/job-request.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { listOf, readOneOrList, readParameters } from "../tasks/task-inputs.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import { readChatCompletion } from "./chat-completions.ts";
import { readCompletion } from "./completions.ts";
import { readGenerate } from "./hugging-face-generation.ts";
import { readWritten } from "./hugging-face-written.ts";

const options = Options.optional();

const parametersDescription = "How the task is done. What is left out has its default.";

/** As published; read are the same schemas, one after the other. */
export function huggingFaceRequestSchema(task: Task): z.ZodType {
  const { input, parameters, huggingFace } = taskTable[task];
  const one = huggingFace?.input ?? input;
  const needed = !parameters.safeParse({}).success;
  return z.strictObject({
    inputs: z.union([withoutLists(one), listOf(one)]).describe("One input, or a list of them."),
    ...(huggingFace?.flat === true ? parameters.shape : {}),
    parameters: (needed ? parameters : parameters.optional()).describe(parametersDescription),
    ...huggingFace?.unused?.shape,
    options,
    ...webhookFields,
  });
}

/** A list is a list of inputs: the forms of an input that are lists themselves count only inside of one. */
function withoutLists(input: z.ZodType): z.ZodType {
  return input instanceof z.ZodUnion
    ? z.union(input.options.filter((form) => !isList(form)))
    : input;
}

function isList(form: z.core.$ZodType): boolean {
  if (form instanceof z.ZodPipe) return isList(form.in);
  return form instanceof z.ZodArray || form instanceof z.ZodTuple;
}

export function runPipeline(c: EdgeContext): Promise<Response> {
  const { id, task, api } = addressed(c);
  if (api !== null) return serveJob(c, (context, body) => readOther(context, { id, api }, body));
  if (task !== null && !isServed(task) && !isWritten(task)) throw unknownTask(task);
  if (task !== null) checkReady(id, task);
  return serveJob(c, async (context, body) => {
    const asked = task ?? readyPrompt(id)?.task ?? (await taskOf(context, id, body));
    if (isWritten(asked)) return readWritten(context, { id, task: asked }, body);
    return asked === "text-generation"
      ? readGenerate(context, id, body)
      : readBody(context, { id, task: asked }, body);
  });
}

/** APIs whose addresses clients put behind that of a model. */
const otherApis = { "chat/completions": readChatCompletion, completions: readCompletion } as const;
type OtherApi = keyof typeof otherApis;

function readOther(c: EdgeContext, { id, api }: { id: string; api: OtherApi }, body: unknown) {
  return otherApis[api](c, body, id);
}

type Address = {
  id: string;
  /** Of `/hf/models/{id}/pipeline/{task}`. */
  task: string | null;
  /** Of `/hf/models/{id}/v1/{api}`. */
  api: OtherApi | null;
};

/** No model's name holds `/v1/`. @throws CodedError `unknown_url` where nothing of that name is behind it */
function addressed(c: EdgeContext): Address {
  const rest = c.req.param("rest") ?? "";
  const other = /^(.+?)\/v1\/(.+)$/.exec(rest);
  if (other !== null) return { id: other[1] ?? "", task: null, api: otherApi(c, other[2] ?? "") };
  const named = /^(.+)\/pipeline\/([^/]+)$/.exec(rest);
  return { id: named?.[1] ?? rest, task: named?.[2] ?? null, api: null };
}

function otherApi(c: EdgeContext, name: string): OtherApi {
  if (name === "chat/completions" || name === "completions") return name;
  throw new CodedError(
    "unknown_url",
    `There is nothing at ${c.req.method} ${c.req.path.slice(0, 200)}. GET /openapi.json lists what there is.`,
  );
}

/** Text generation has a body of its own: hugging-face-generation.ts. */
const servedTasks: readonly Task[] = [...huggingFaceTasks, "text-generation"];

function isServed(task: string): task is Task {
  return isTask(task) && servedTasks.includes(task);
}

function isWritten(task: string): task is WrittenTask {
  return writtenTasks.some((each) => each === task);
}

/** @throws CodedError where a prompt that ships does something else */
function checkReady(id: string, task: string): void {
  const ready = readyPrompt(id);
  if (ready === undefined || ready.task === task) return;
  throw new CodedError(
    "invalid_value",
    `${id} does not do ${task}. It does ${ready.task}: use that, or another model.`,
    { param: "model" },
  );
}

function unknownTask(task: string): CodedError {
  return new CodedError(
    "not_found",
    `There is no task ${JSON.stringify(task.slice(0, 100))} here. Use one of ` +
      `${[...servedTasks, ...writtenTasks].join(", ")}.`,
    { param: "task" },
  );
}

async function taskOf(c: EdgeContext, id: string, body: unknown): Promise<Task> {
  validate(z.looseObject({}), body);
  const recognised = huggingFaceTasks.find(
    (task) => taskTable[task].huggingFace?.recognise?.safeParse(body).success,
  );
  if (recognised !== undefined) return recognised;
  const { tasks } = await modelNamed(c, id);
  return tasks.find(isServed) ?? "feature-extraction";
}

async function readBody<T extends Task>(
  c: EdgeContext,
  { id, task }: { id: string; task: T },
  body: unknown,
): Promise<JobRequest> {
  const { input, huggingFace } = taskTable[task];
  const { inputs: given, webhook, warnings, parameters } = readFields(c, task, body);
  const { inputs, single } = readOneOrList(huggingFace?.input ?? input, given, "inputs");
  const call = { task, inputs, parameters };
  return jobRequest(c, call, {
    model: id,
    nameOf: (index) => (single ? "inputs" : `inputs[${index}]`),
    rendering: { route: "hugging-face", task, single },
    webhook,
    warnings,
  });
}

const Envelope = z.strictObject({
  inputs: z.unknown().optional(),
  parameters: z.unknown().optional(),
  options,
  ...webhookFields,
});

/** Made once: a schema costs more to make than to use. Flat bodies hold the parameters beside the inputs. */
const bodies = new Map<Task, ReturnType<typeof bodySchema>>(
  huggingFaceTasks.map((task) => [task, bodySchema(task)]),
);

function bodySchema(task: Task): z.ZodType<Record<string, unknown>> {
  const { huggingFace } = taskTable[task];
  const fields = Envelope.extend(huggingFace?.unused?.shape ?? {});
  return huggingFace?.flat === true ? fields.loose() : fields;
}

const Webhook = z.object(webhookFields);

/** The fields of a body, each to where it belongs. */
function readFields<T extends Task>(c: EdgeContext, task: T, body: unknown) {
  const { huggingFace } = taskTable[task];
  const fields = validate(bodies.get(task) ?? Envelope, body);
  const { inputs, parameters: nested, options: asked, ...others } = fields;
  const unusedFields = huggingFace?.unused?.shape ?? {};
  const unused = fieldsOf(others, unusedFields);
  const known = { ...unused, ...webhookFields };
  const beside = Object.fromEntries(
    Object.entries(others).filter(([name]) => !Object.hasOwn(known, name)),
  );
  return {
    inputs,
    webhook: validate(Webhook, others),
    warnings: noteUnused(c, { options: asked, ...unused }),
    parameters:
      huggingFace?.flat === true
        ? readParameters(
            task,
            { ...validate(NestedToo, nested ?? {}, ["parameters"]), ...beside },
            [],
          )
        : readParameters(task, nested, ["parameters"]),
  };
}

/** Some callers put the parameters of a flat body where those of other tasks stand. */
const NestedToo = z.looseObject({});
