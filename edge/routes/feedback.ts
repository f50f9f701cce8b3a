/**
 * What callers say of the answers of a key's tuned models: POST, GET and DELETE /v1/feedback, and POST its export as a
 * training file.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { FormName } from "#contract/training/forms.ts";
import { isTunedModelName } from "#contract/training/tuned-model.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { FileObject, showFile } from "../files/stored-file.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import {
  digestOf,
  type Feedback,
  feedbackLimits,
  inputProblem,
  readExample,
} from "../learning/feedback.ts";
import { commonForm, type FeedbackCount, type FeedbackOutcome } from "../learning/feedback-rows.ts";
import { modelNamed } from "../registry/known-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { aliasCalled, namesOf } from "../registry/model-alias.ts";
import { noRoom } from "./files.ts";
import { checkMetadata, MetadataPairs } from "./fine-tuning-request.ts";

/** With all that is said about it; it is small enough to need no permit. */
const bodyBytesMax = 64 * 1024;
const nameMax = 200;

const Model = z
  .string()
  .min(1)
  .max(nameMax)
  .describe("A tuned model of this key, or an alias as it is called.");

export const FeedbackRequest = z.strictObject({
  model: Model,
  input: z
    .union([z.string().min(1), z.record(z.string(), z.unknown())])
    .describe("What was asked: a text, or the fields of a training example without its answer."),
  label: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe("The correct label, or all correct labels."),
  score: z.number().optional().describe("The correct number."),
  correct: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "The fields of a training example that are its answer, of other tasks: tags, entities, answers…",
    ),
  rating: z
    .enum(["up", "down"])
    .optional()
    .describe("Whether the answer was good. It is counted, and not trained on."),
  metadata: MetadataPairs.optional().describe(
    "Up to 16 pairs that are kept with it, and exported.",
  ),
});
type FeedbackRequest = z.infer<typeof FeedbackRequest>;

export const FeedbackObject = z.object({
  object: z.literal("feedback").describe("What this is."),
  model: z.string().describe("Of what it was said."),
  status: z
    .enum(["new", "replaced", "known"])
    .describe("new; in place of what was said of the same input before; or said before."),
  form: FormName.nullable().describe("What the example is. Null: a rating."),
  examples: z.int().nonnegative().describe("Corrections kept under this name."),
});

export const CountedFeedback = z.object({
  model: z.string().nullable().describe("A tuned model, or an alias as it is called. Null: all."),
  examples: z.int().nonnegative().describe("Corrections, which can be trained on."),
  ratings: z
    .object({
      up: z.int().nonnegative().describe("Good answers."),
      down: z.int().nonnegative().describe("Bad ones."),
    })
    .describe("Ratings without a correction: they are counted alone."),
  form: FormName.nullable().describe("What most of the corrections are. Null: there is none."),
  last_at: z.int().nullable().describe("When the last was said. Unix time in seconds."),
});

export const FeedbackCounts = z.object({
  object: z.literal("feedback.counts").describe("What this is."),
  total: CountedFeedback.describe("Of all sources."),
  sources: z
    .array(CountedFeedback)
    .describe(
      "By name: of an alias, its own, and those of the models that it points or pointed to.",
    ),
});
export type FeedbackCounts = z.infer<typeof FeedbackCounts>;

export const DeletedFeedback = z.object({
  object: z.literal("feedback").describe("What it was."),
  model: z.string().describe("Of what it was said."),
  deleted: z.int().nonnegative().describe("How much there was."),
});

export const ExportRequest = z.strictObject({ model: Model });

function learningOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Feedback");
  return { tenant, learning: c.env.LEARNING.getByName(tenant) };
}

async function bodyOf<T>(c: EdgeContext, schema: z.ZodType<T>): Promise<T> {
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  return validate(schema, parseJson(decodeText(body)));
}

export async function giveFeedback(c: EdgeContext): Promise<Response> {
  const { learning } = learningOf(c);
  const request = await bodyOf(c, FeedbackRequest);
  checkMetadata(request.metadata ?? {});
  checkOne(request);
  const said = await readFeedback(request, await tunedModelNamed(c, request.model));
  const outcome = await learning.add(said);
  if ("refusal" in outcome) throw refused(outcome, said.model);
  return c.json({
    object: "feedback",
    model: said.model,
    status: outcome.kept,
    form: said.form,
    examples: outcome.examples,
  } satisfies z.infer<typeof FeedbackObject>);
}

const answers = ["label", "score", "correct", "rating"] as const;

function checkOne(request: FeedbackRequest): void {
  const sent = answers.filter((name) => request[name] !== undefined);
  if (sent.length === 1) return;
  if (sent.length === 0) {
    throw new CodedError(
      "missing_required_parameter",
      `Nothing is said of the answer. Send one of ${answers.join(", ")}.`,
      { param: "label" },
    );
  }
  throw wrong(
    sent[1] ?? "label",
    `${sent.join(" and ")} stand beside each other. Send one of them.`,
  );
}

async function readFeedback(request: FeedbackRequest, { tasks }: ModelListing): Promise<Feedback> {
  const { model, input, label, score, correct, rating, metadata = null } = request;
  const asked = typeof input === "string" ? { text: input } : input;
  const about = { model, metadata, digest: await digestOf(asked) };
  if (rating !== undefined) {
    const problem = inputProblem(asked);
    if (problem !== null) throw wrong("input", problem);
    return { ...about, kind: rating, form: null, line: JSON.stringify(asked) };
  }
  const answer = { ...(label !== undefined && { label }), ...(score !== undefined && { score }) };
  const example = readExample({ ...asked, ...answer, ...correct }, tasks);
  if ("problem" in example) throw wrong("input", example.problem);
  return { ...about, kind: "example", ...example };
}

/** @throws CodedError where it is none of this key's */
async function tunedModelNamed(c: EdgeContext, name: string): Promise<ModelListing> {
  if (isTunedModelName(name)) return modelNamed(c, name);
  throw wrong(
    "model",
    "Feedback is kept of what this key has tuned. Name a tuned model, ft:<base>:<suffix>:<id>, or an alias, " +
      "ft:@<alias>.",
  );
}

function wrong(param: string, message: string): CodedError {
  return new CodedError("invalid_value", message, { param });
}

function refused(
  outcome: Extract<FeedbackOutcome, { refusal: unknown }>,
  model: string,
): CodedError {
  const { rowsMax, bytesMax, namesMax } = feedbackLimits;
  const fix = `Export it and delete it: DELETE /v1/feedback?model=${model}.`;
  switch (outcome.refusal) {
    case "form":
      return wrong(
        "input",
        `What is kept of ${model} is of the form ${outcome.form}, and this is of another. Send that form, or delete ` +
          "what is kept.",
      );
    case "rows":
      return new CodedError("insufficient_quota", `${rowsMax} are kept of ${model}. ${fix}`);
    case "bytes":
      return new CodedError(
        "insufficient_quota",
        `A key may keep ${bytesMax} bytes of feedback, and there is no room left. ${fix}`,
      );
    case "names":
      return new CodedError(
        "insufficient_quota",
        `Feedback is kept of ${namesMax} models and aliases at most. Delete that of one that is gone: GET ` +
          "/v1/feedback lists them.",
      );
  }
}

const Query = z.strictObject({ model: Model.optional() });
const NamedQuery = z.strictObject({ model: Model });

export async function countFeedback(c: EdgeContext): Promise<Response> {
  const { learning } = learningOf(c);
  const { model } = validate(Query, c.req.query());
  const all = await learning.counts();
  const names = model === undefined ? null : await namesBehind(c, model);
  const sources = all.filter((count) => names?.includes(count.model) ?? true);
  return c.json({
    object: "feedback.counts",
    total: summed(model ?? null, sources),
    sources: sources.map((each) => summed(each.model, [each])),
  } satisfies FeedbackCounts);
}

function summed(model: string | null, counts: readonly FeedbackCount[]) {
  const sum = (field: "examples" | "up" | "down") =>
    counts.reduce((total, each) => total + each[field], 0);
  const last = Math.max(...counts.map(({ last_at: at }) => at));
  return {
    model,
    examples: sum("examples"),
    ratings: { up: sum("up"), down: sum("down") },
    form: commonForm(counts),
    last_at: counts.length === 0 ? null : Math.floor(last / 1_000),
  };
}

/** Under which names there may be feedback: of an alias, those of its models too. */
async function namesBehind(c: EdgeContext, model: string): Promise<string[]> {
  const name = aliasCalled(model);
  const alias =
    name === null
      ? null
      : await c.env.TUNED_MODELS.getByName(c.get("caller").tenant).findAlias(name);
  return alias === null ? [model] : namesOf(alias);
}

export async function deleteFeedback(c: EdgeContext): Promise<Response> {
  const { learning } = learningOf(c);
  const { model } = validate(NamedQuery, c.req.query());
  const deleted = await learning.forget(model);
  return c.json({ object: "feedback", model, deleted } satisfies z.infer<typeof DeletedFeedback>);
}

export async function exportFeedback(c: EdgeContext): Promise<Response> {
  const { tenant, learning } = learningOf(c);
  const { model } = await bodyOf(c, ExportRequest);
  const names = await namesBehind(c, model);
  const filename = `feedback-${aliasCalled(model) ?? model.slice(-32)}.jsonl`;
  const exported = await learning.export(tenant, names, filename);
  if ("file" in exported)
    return c.json(showFile(exported.file) satisfies z.infer<typeof FileObject>);
  if (exported.refusal !== "nothing") throw noRoom(exported.refusal);
  throw wrong(
    "model",
    `There is no correction of ${model} to export. Send some: POST /v1/feedback with label, score or correct; ` +
      "ratings are counted alone.",
  );
}
