/**
 * POST /v1/augment: more examples of labelled ones, as a job; `dry_run` says what it would cost. And POST its export,
 * which writes what came of one as a training file of the key.
 */
import * as z from "zod";
import {
  answersOf,
  augmentationLimits,
  isEdit,
  planOf,
} from "#contract/augmentation/augmentation-plan.ts";
import { AugmentationReport } from "#contract/augmentation/augmentation-report.ts";
import { CodedError } from "#contract/errors.ts";
import { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import {
  type AugmentationParameters,
  augmentationDefaults,
  augmentationParameters,
  type LabelledExample,
  LabelledExamples,
} from "#contract/tasks/augmentation.ts";
import { parseJsonLine } from "#contract/training/json-line.ts";
import { admitHit } from "../accounts/admission.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import { openResult } from "../answers/read-result.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { type FileObject, formatFileId, showFile } from "../files/stored-file.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { randomHex } from "../http/random-hex.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import { writeDataSet } from "../learning/write-data-set.ts";
import { expectOne, fileOfExamples, linesOfFile } from "../prompts/examples-of-file.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { type JobRequest, jobRequest, modelForTask } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import { askForJob } from "./ask-for-job.ts";
import { noRoom } from "./files.ts";
import { shardOf } from "./jobs.ts";

const { examplesMax, labelsMax, textCharactersMax, generatedTokensMax } = augmentationLimits;

const optional = z.strictObject(augmentationParameters).partial().shape;

export const AugmentRequest = z.strictObject({
  examples: LabelledExamples.optional().describe("Labelled texts. Or a file."),
  file: fileOfExamples(` of text and label. It has ${examplesMax} lines at most.`),
  generator: ModelName.optional().describe(
    "Which model writes. Needed where methods names what is written.",
  ),
  judge: ModelName.optional().describe(
    "Which model says whether a label is preserved: a classifier of these labels, a tuned one of the key among them, " +
      "or one that goes by their names. Default: the embedder, by their names.",
  ),
  embedder: ModelName.optional().describe(
    `Whose sentence vectors are compared. Default: ${augmentationDefaults.embedder}.`,
  ),
  zero_shot: z
    .boolean()
    .optional()
    .describe("The judge goes by the labels' names. Default: where it is no classifier."),
  ...optional,
  dry_run: z.boolean().optional().describe("Says what it would cost, and does nothing."),
  ...webhookFields,
});
type AugmentRequest = z.infer<typeof AugmentRequest>;

export const AugmentQuote = z.object({
  object: z.literal("augmentation.quote").describe("What this is."),
  judge: z.string().describe("Which model would judge."),
  candidates: z.int().describe("That would be tried."),
  answers: z.int().describe("That the generator would write, at most."),
  units: z.int().describe("What is reserved for them; what they took is charged."),
});

export const ExportAugmentationRequest = z.strictObject({
  job: z.string().min(1).max(100).describe("Of an augmentation that succeeded."),
  originals: z
    .boolean()
    .optional()
    .describe("Whether the examples themselves come first in the file. Default: true."),
});

export async function augment(c: EdgeContext): Promise<Response> {
  keyOwner(c, "Augmentations");
  askForJob(c);
  return serveJob(c, async (context, body) => {
    const request = validate(AugmentRequest, body);
    const examples = await examplesFor(context, request);
    const job = await readAugmentation(context, request, examples);
    return request.dry_run === true ? quote(context, job, examples) : job;
  });
}

async function examplesFor(
  c: EdgeContext,
  { examples, file }: AugmentRequest,
): Promise<LabelledExample[]> {
  expectOne({ examples, file });
  if (file === undefined) return validate(LabelledExamples, examples, ["examples"]);
  const lines = await linesOfFile(c, file, examplesMax + 1);
  if (lines.length > examplesMax)
    throw wrong("file", `has more than ${examplesMax} lines. Augment a smaller one`);
  return validate(LabelledExamples, lines.map(exampleOf), ["file"]);
}

function exampleOf(line: string, index: number): unknown {
  const parsed = parseJsonLine(line);
  if ("fault" in parsed)
    throw wrong("file", `line ${index + 1} is no JSON object. Upload JSON Lines`);
  const { text, label } = parsed.fields;
  if (typeof text === "string" && typeof label === "string") return { text, label };
  throw wrong("file", `line ${index + 1} has no text and label that are texts. Add them`);
}

async function readAugmentation(
  c: EdgeContext,
  request: AugmentRequest,
  examples: LabelledExample[],
): Promise<JobRequest> {
  const own = Object.fromEntries(
    Object.keys(augmentationParameters).flatMap((name) => {
      const value = Object.entries(request).find(([each]) => each === name)?.[1];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const embedder = await embedderOf(c, request.embedder ?? augmentationDefaults.embedder);
  const judge = await underName(
    "judge",
    modelForTask(c, request.judge ?? embedder, "augmentation"),
  );
  const methods = request.methods ?? augmentationDefaults.methods;
  const parameters: AugmentationParameters = {
    ...augmentationDefaults,
    methods: [...methods],
    ...own,
    embedder,
    generator: await generatorOf(c, request, methods.every(isEdit)),
    zero_shot: goesByNames(judge, request.zero_shot),
  };
  check(examples, parameters);
  const { webhook, webhook_events_filter, webhook_secret } = request;
  const asked = jobRequest(
    c,
    { task: "augmentation", inputs: [{ examples }], parameters },
    {
      model: judge.id,
      nameOf: () => "examples",
      rendering: { route: "augmentation" },
      webhook: { webhook, webhook_events_filter, webhook_secret },
    },
  );
  const job = await underName("judge", asked);
  if (job.units >= limits.tokensPerRequestMax) throw tooMuch();
  return job;
}

async function embedderOf(c: EdgeContext, name: string): Promise<string> {
  const model = await underName("embedder", modelForTask(c, name, "feature-extraction"));
  return idOfPlatform("embedder", model);
}

async function generatorOf(
  c: EdgeContext,
  { generator, generated_max: most }: AugmentRequest,
  isEditing: boolean,
): Promise<string | null> {
  if (isEditing || most === 0) return null;
  if (generator === undefined) {
    throw new CodedError(
      "missing_required_parameter",
      "Missing required parameter: generator. Some of methods are written by a model: name one that takes a " +
        "conversation, or send edits alone.",
      { param: "generator" },
    );
  }
  const model = await underName("generator", modelForTask(c, generator, "chat-completion"));
  return idOfPlatform("generator", model);
}

/** @throws CodedError for one whose files only its own requests carry */
function idOfPlatform(field: string, { id, tuned }: ModelListing): string {
  if (tuned === undefined) return id;
  throw wrong(field, "takes a model of the platform. A tuned one may be the judge");
}

function goesByNames({ id, tasks }: ModelListing, asked: boolean | undefined): boolean {
  const byNames = asked ?? !tasks.includes("text-classification");
  const task = byNames ? "zero-shot-classification" : "text-classification";
  if (tasks.includes(task)) return byNames;
  throw wrong(
    "zero_shot",
    `is ${byNames}, and ${id} does not do ${task}. Leave it out, or name another judge`,
  );
}

/** What is said of a model is said of the field that names it. */
async function underName<T>(param: string, found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if (!(error instanceof CodedError) || error.param !== "model") throw error;
    throw new CodedError(error.code, error.message, { param, cause: error });
  }
}

/** @throws CodedError for what could not be done, or would be too much */
function check(examples: readonly LabelledExample[], parameters: AugmentationParameters): void {
  const { similarity_min: least, similarity_max: most, max_tokens, zero_shot } = parameters;
  if (least >= most)
    throw wrong(
      "similarity_min",
      `is ${least}, and similarity_max ${most}. Send one below the other`,
    );
  const labels = new Set(examples.map(({ label }) => label)).size;
  if (labels > labelsMax)
    throw wrong(
      "examples",
      `have ${labels} labels; ${labelsMax} are told apart at most. Send fewer`,
    );
  const plan = planOf(examples.length, parameters);
  const tokens = answersOf(plan) * max_tokens;
  if (tokens > generatedTokensMax) {
    const told = `${answersOf(plan)} answers of max_tokens each are ${tokens} tokens`;
    throw wrong(
      "generated_max",
      `: ${told}; ${generatedTokensMax} are written at most. Lower one of them`,
    );
  }
  // Each is read beside each label where the judge goes by entailment, and no text has fewer tokens.
  const readings = (examples.length + plan.length) * (zero_shot ? labels : 1);
  if (readings >= limits.tokensPerRequestMax) throw tooMuch();
}

async function quote(
  c: EdgeContext,
  { model, units, parameters }: JobRequest,
  examples: readonly LabelledExample[],
): Promise<Response> {
  await admitHit(c);
  const plan = planOf(examples.length, parameters as AugmentationParameters);
  return c.json({
    object: "augmentation.quote",
    judge: model,
    candidates: plan.length,
    answers: answersOf(plan),
    units,
  } satisfies z.infer<typeof AugmentQuote>);
}

/** All that can be asked for takes less, and it is small enough to need no permit. */
const bodyBytesMax = 1_024;

export async function exportAugmentation(c: EdgeContext): Promise<Response> {
  const tenant = keyOwner(c, "Augmentations");
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  const request = validate(ExportAugmentationRequest, parseJson(decodeText(body)));
  const { examples, candidates } = await reportOf(c, tenant, request.job);
  const rows = [...(request.originals === false ? [] : examples), ...candidates];
  if (rows.length === 0) throw wrong("job", "kept no candidate, so that there is nothing to write");
  const encoder = new TextEncoder();
  const lines = rows.map(({ text, label }) =>
    encoder.encode(`${JSON.stringify({ text, label })}\n`),
  );
  const bytesMax = lines.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const filename = `augmented-${request.job.slice(-32)}.jsonl`;
  const id = formatFileId(randomHex());
  const written = await writeDataSet(
    c.env,
    { tenant, id, filename, bytesMax, keptMs: null },
    lines,
  );
  if ("refusal" in written) throw noRoom(written.refusal);
  return c.json(showFile(written.file) satisfies FileObject);
}

/** @throws CodedError for a job that is none of the key's, or has made no examples */
async function reportOf(c: EdgeContext, tenant: string, name: string): Promise<AugmentationReport> {
  const id = JobId.safeParse(name);
  const job = id.success ? await shardOf(c, id.data).find(id.data, tenant) : null;
  if (job === null) {
    const message = "No such job. Jobs are kept for a day, for their owner.";
    throw new CodedError("not_found", message, { param: "job" });
  }
  if (job.task !== "augmentation")
    throw wrong("job", `is one of ${job.task}. Name one of POST /v1/augment`);
  if (job.result === null)
    throw wrong("job", `is ${job.status}. Wait until it succeeded: GET /v1/jobs/${name}`);
  const opened = await openResult(job.result, settingsOf(c.env));
  let text = "";
  for await (const line of opened?.lines() ?? []) text ||= line;
  if (text === "") throw wrong("job", "has an output that is not kept any more. Augment again");
  return AugmentationReport.parse(JSON.parse(text));
}

function tooMuch(): CodedError {
  return new CodedError(
    "invalid_value",
    `The augmentation would take about ${limits.tokensPerRequestMax} tokens or more, the limit of one. Send fewer or ` +
      `shorter examples (a text has ${textCharactersMax} characters at most), or lower per_example.`,
    { param: "examples" },
  );
}

function wrong(param: string, problem: string): CodedError {
  const told = problem.startsWith(":") ? problem : ` ${problem}`;
  return new CodedError("invalid_value", `${param}${told}.`, { param });
}
