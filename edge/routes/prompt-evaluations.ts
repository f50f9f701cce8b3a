/**
 * POST /v1/prompts/{id}/evaluate: how well a prompt does on labelled examples, as a job; `dry_run` says what it would
 * cost. And GET /v1/prompts/{id}/evaluations: what became of those that were to improve it.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import { countCalls, readsTooMuch, type Search } from "#contract/prompts/estimated-calls.ts";
import { evaluationLimits } from "#contract/prompts/evaluation-plan.ts";
import { checkPrompt, fillIn, type Prompt, type PromptExample } from "#contract/prompts/prompt.ts";
import { readyPrompt } from "#contract/prompts/ready-prompts.ts";
import {
  EvaluationExamples,
  EvaluationLabels,
  EvaluationParameters,
  PromptVariant,
} from "#contract/tasks/prompt-evaluation.ts";
import { admitHit } from "../accounts/admission.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { examplesOfFile, expectOne, fileOfExamples } from "../prompts/examples-of-file.ts";
import { findPrompt, VersionNumber } from "../prompts/find-prompt.ts";
import type { StoredVersion } from "../prompts/stored-prompt.ts";
import { type JobRequest, jobRequest, type TaskCall } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import { askForJob } from "./ask-for-job.ts";
import { PromptParameters, seconds } from "./prompt-request.ts";
import { promptsOf } from "./prompts.ts";

/** Of an answer, where neither the call nor the prompt says: a label is short. */
const maxTokensDefault = { label: 16, text: 128 } as const;

export const EvaluateRequest = z.strictObject({
  version: VersionNumber.optional().describe("Which version. Default: the newest."),
  model: ModelName.optional().describe("Which model answers. Default: the prompt's."),
  examples: EvaluationExamples.optional().describe(
    "Variables, and what the answer to them is to be. Or a file.",
  ),
  file: fileOfExamples(
    ", whose fields are named as the variables, and the answer output, label or completion. The first " +
      `${evaluationLimits.examplesMax} lines are read.`,
  ),
  labels: EvaluationLabels.optional().describe(
    "The classes, where answers are labels. Default: answers are texts, compared after normalisation.",
  ),
  constrain: z
    .boolean()
    .optional()
    .describe("With labels: nothing else is let be written. Default: true."),
  parameters: PromptParameters.optional().describe(
    "How answers are written. Default: the prompt's, with temperature 0.",
  ),
  optimise: z
    .boolean()
    .optional()
    .describe(
      "Tries other wordings and shots on a part of the examples, and stores the winner as a new version if it is " +
        "better on the others. Default: false.",
    ),
  variants: z
    .array(PromptVariant)
    .max(evaluationLimits.variantsMax)
    .optional()
    .describe("Wordings to try beside those that are always tried. Only with optimise."),
  seed: z.int().optional().describe("What divides the examples. Default: 0."),
  dry_run: z.boolean().optional().describe("Says what it would cost, and does nothing."),
  ...webhookFields,
});
type EvaluateRequest = z.infer<typeof EvaluateRequest>;
/** With its examples at hand. */
type WithExamples = EvaluateRequest & { examples: PromptExample[] };

export const PromptQuote = z.object({
  object: z.literal("prompt.quote").describe("What this is."),
  prompt: z.string().describe("Of the prompt."),
  version: z.int().describe("That would be evaluated."),
  model: z.string().describe("That would answer."),
  calls: z.int().describe("Answers that would be written, at most."),
  units: z.int().describe("What is reserved for them; what they took is charged."),
});

export const PromptEvaluationList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z
    .array(
      z.object({
        object: z.literal("prompt.evaluation").describe("What this is."),
        job: z.string().describe("Its job: GET /v1/jobs/{id} has the report for a day."),
        version: z.int().describe("That was evaluated."),
        created_at: z.int().describe("Unix time in seconds."),
        status: z
          .enum(["running", "stored", "not_better", "failed", "no_room", "gone"])
          .describe("What became of it. stored: its winner is a version."),
        stored_version: z.int().nullable().describe("The winner. Null: none was stored."),
      }),
    )
    .describe("Those that were to improve the prompt, the newest first."),
});

export async function evaluatePrompt(c: EdgeContext): Promise<Response> {
  askForJob(c);
  const own: { optimised: StoredVersion | null } = { optimised: null };
  const response = await serveJob(c, async (context, body) => {
    const asked = validate(EvaluateRequest, body);
    const version = await findPrompt(context, context.req.param("id") ?? "", asked.version ?? null);
    const request = { ...asked, examples: await examplesFor(context, asked, version) };
    if (request.optimise === true) own.optimised = ownPrompt(version);
    const job = await readEvaluation(context, request, version);
    if (request.dry_run !== true) return job;
    return quote(context, version, {
      ...job,
      calls: countCalls(evaluatedIn(request, version), searchIn(request)),
    });
  });
  const id = JobId.safeParse(response.headers.get("x-job-id"));
  if (own.optimised !== null && response.ok && id.success) await watch(c, own.optimised, id.data);
  return response;
}

async function examplesFor(
  c: EdgeContext,
  { examples, file }: EvaluateRequest,
  { content }: StoredVersion,
): Promise<PromptExample[]> {
  expectOne({ examples, file });
  if (file !== undefined) return examplesOfFile(c, file, content.variables);
  return validate(EvaluationExamples, examples, ["examples"]);
}

async function watch(c: EdgeContext, { id: prompt, version }: StoredVersion, job: JobId) {
  const { tenant, prompts } = promptsOf(c);
  await prompts.watch(tenant, { job, prompt, version });
}

/** @throws CodedError for one that nothing can be stored for */
function ownPrompt(version: StoredVersion): StoredVersion {
  if (readyPrompt(version.id) === undefined) return version;
  throw wrong(
    "optimise",
    `${version.id} is the platform's, and stays as it is. Make a prompt of its messages, POST /v1/prompts, and ` +
      "optimise that",
  );
}

async function readEvaluation(
  c: EdgeContext,
  request: WithExamples,
  version: StoredVersion,
): Promise<JobRequest> {
  const { model, parameters } = version.content;
  const evaluated = evaluatedIn(request, version);
  const { labels } = evaluated;
  const search = searchIn(request);
  check(request, evaluated.prompt);
  const sampling = { temperature: 0, ...parameters, ...request.parameters };
  const given = {
    ...sampling,
    max_tokens: maxTokensOf(request, parameters["max_tokens"]),
    constrain: labels !== null && (request.constrain ?? true),
    ...search,
  };
  if (readsTooMuch(evaluated, search)) throw tooMuch();
  const call: TaskCall<"prompt-evaluation"> = {
    task: "prompt-evaluation",
    inputs: [evaluated],
    parameters: validate(EvaluationParameters, given, ["parameters"]),
  };
  const { webhook, webhook_events_filter, webhook_secret } = request;
  const job = await jobRequest(c, call, {
    model: validate(ModelName, request.model ?? model, ["model"]),
    nameOf: () => "examples",
    rendering: { route: "prompt.evaluation" },
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
  if (job.units >= limits.tokensPerRequestMax) throw tooMuch();
  return job;
}

function evaluatedIn(
  { examples, labels, variants = [] }: WithExamples,
  { content }: StoredVersion,
) {
  const { messages, variables, examples: shots } = content;
  const prompt = { messages, variables, examples: shots };
  return { prompt, examples, labels: labels ?? null, variants };
}

function searchIn({ optimise = false, seed = 0 }: WithExamples): Search {
  return { optimise, split_seed: seed };
}

/** @param own the prompt's: of labels it says nothing */
function maxTokensOf({ labels, parameters }: EvaluateRequest, own: unknown): number {
  const asked = parameters?.max_tokens;
  if (asked !== undefined) return asked;
  if (labels !== undefined) return maxTokensDefault.label;
  return typeof own === "number"
    ? Math.min(own, evaluationLimits.maxTokensMax)
    : maxTokensDefault.text;
}

/** @throws CodedError for what could not be judged */
function check(request: WithExamples, prompt: Prompt): void {
  const { examples, labels, variants = [], optimise = false, constrain } = request;
  for (const [index, { variables }] of examples.entries())
    fillIn(prompt.variables, variables, `examples[${index}].variables`);
  for (const [index, { messages }] of variants.entries())
    checkPrompt({ ...prompt, messages, examples: [] }, `variants[${index}].`);
  if (labels !== undefined) checkLabels(examples, labels);
  else if (constrain === true)
    throw wrong("constrain", "says that answers are labels. Send labels");
  if (!optimise && variants.length > 0)
    throw wrong("variants", "are tried by an optimisation. Set optimise to true");
  const { optimisedExamplesMin: min } = evaluationLimits;
  if (optimise && examples.length < min) {
    const told = `has ${examples.length} items; optimise needs ${min}, of which it holds some out. Send more`;
    throw wrong("examples", told);
  }
  if (optimise && !prompt.messages.some(({ role }) => role === "user"))
    throw wrong(
      "optimise",
      "shows examples as turns of the user, and the prompt has no message of the user",
    );
}

function checkLabels(examples: readonly PromptExample[], labels: readonly string[]): void {
  if (new Set(labels).size < labels.length) throw wrong("labels", "names a label twice");
  const at = examples.findIndex(({ output }) => !labels.includes(output));
  if (at < 0) return;
  const output = JSON.stringify(examples[at]?.output.slice(0, 100));
  throw wrong(`examples[${at}].output`, `is ${output}, which is none of labels`);
}

async function quote(
  c: EdgeContext,
  { id, version }: StoredVersion,
  { model, units, calls }: JobRequest & { calls: number },
): Promise<Response> {
  await admitHit(c);
  const told = { object: "prompt.quote", prompt: id, version, model, calls, units } as const;
  return c.json(told satisfies z.infer<typeof PromptQuote>);
}

export async function listPromptEvaluations(c: EdgeContext): Promise<Response> {
  const { prompts } = promptsOf(c);
  const { id } = await findPrompt(c, c.req.param("id") ?? "", null);
  const data = (await prompts.evaluations(id)).map((each) => ({
    object: "prompt.evaluation" as const,
    job: each.job,
    version: each.version,
    created_at: seconds(each.createdAt),
    status: each.state,
    stored_version: each.stored,
  }));
  return c.json({ object: "list", data } satisfies z.infer<typeof PromptEvaluationList>);
}

function tooMuch(): CodedError {
  return new CodedError(
    "invalid_value",
    `The evaluation would take about ${limits.tokensPerRequestMax} tokens or more, the limit of one. Send fewer or ` +
      "shorter examples, or set parameters.max_tokens lower.",
    { param: "examples" },
  );
}

function wrong(param: string, problem: string): CodedError {
  return new CodedError("invalid_value", `${param} ${problem}.`, { param });
}
