/** Re-tunes of an alias: POST, GET and DELETE /v1/aliases/{alias}/retune. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { FormName } from "#contract/training/forms.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { reportOf } from "../fine-tuning/judge-files.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import { feedbackLimits } from "../learning/feedback.ts";
import { retuneLimits, type Retune, type RetuneSettings, scheduledAt } from "../learning/retune.ts";
import { jobOfModel } from "../learning/run-retune.ts";
import { calledName, type ModelAlias, namesOf } from "../registry/model-alias.ts";
import { aliasNameOf, aliasNotFound } from "./aliases.ts";

const bodyBytesMax = 16 * 1024;
const examplesDefault = 100;

export const RetuneRequest = z.strictObject({
  min_examples: z
    .int()
    .positive()
    .max(feedbackLimits.rowsMax)
    .default(examplesDefault)
    .describe("New corrections that begin one."),
  every_days: z
    .int()
    .positive()
    .max(retuneLimits.daysMax)
    .optional()
    .describe("And after so many days, if there is any. Default: never by time alone."),
  training_files: z
    .array(z.string().max(100))
    .min(1)
    .max(retuneLimits.filesMax)
    .optional()
    .describe(
      "JSON Lines to learn from beside the corrections. Default: what the model learnt from.",
    ),
  share: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe("A better model begins with this share of the requests. Default: with all of them."),
});

export const RetuneObject = z.object({
  object: z.literal("alias.retune").describe("What this is."),
  alias: z.string().describe("As it is called."),
  min_examples: z.int().describe("New corrections that begin one."),
  every_days: z.int().nullable().describe("Days after which one begins. Null: not by time."),
  training_files: z.array(z.string()).describe("What it learns from beside the corrections."),
  share: z.number().nullable().describe("Of the requests, for a better model. Null: all."),
  new_examples: z.int().nonnegative().describe("Corrections that were not learnt from yet."),
  status: z.enum(["idle", "running"]).describe("Whether one is under way."),
  job: z.string().nullable().describe("The fine-tuning job of the one under way."),
  next_at: z.int().nullable().describe("When the next begins at the latest. Unix time in seconds."),
  events: z
    .array(
      z.object({
        created_at: z.int().describe("Unix time in seconds."),
        level: z.enum(["info", "warn"]).describe("How much it matters."),
        message: z.string().describe("What happened, and why."),
      }),
    )
    .describe("The last, the newest first."),
});
export type RetuneObject = z.infer<typeof RetuneObject>;

export const DeletedRetune = z.object({
  object: z.literal("alias.retune").describe("What it was."),
  alias: z.string().describe("As it is called."),
  deleted: z.literal(true).describe("None begins any more; a job that trains goes on."),
});

async function retuneOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Re-tunes");
  const name = aliasNameOf(c);
  const alias = await c.env.TUNED_MODELS.getByName(tenant).findAlias(name);
  if (alias === null) throw aliasNotFound();
  return { tenant, alias, learning: c.env.LEARNING.getByName(tenant) };
}

export async function askForRetune(c: EdgeContext): Promise<Response> {
  const { tenant, alias, learning } = await retuneOf(c);
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  const request = validate(RetuneRequest, parseJson(decodeText(body)));
  const job = await c.env.TUNING.getByName(tenant).find(jobOfModel(alias.model));
  if (job === null) {
    throw wrong(
      "alias",
      `How ${alias.model} was trained is not known any more. Point the alias to a model whose job is: ` +
        "GET /v1/fine_tuning/jobs.",
    );
  }
  const { model, baseTasks, start, validationFile, suffix, options } = job;
  const trainingFiles = [...new Set(request.training_files ?? [job.trainingFile])];
  const settings: RetuneSettings = {
    tenant,
    alias: alias.name,
    minExamples: request.min_examples,
    everyDays: request.every_days ?? null,
    trainingFiles,
    form: await formOfFiles(c, tenant, trainingFiles),
    share: request.share ?? null,
    like: { model, baseTasks, ...(start && { start }), validationFile, suffix, options },
  };
  await learning.askForRetune(settings);
  return showRetune(c, alias, learning);
}

/** @throws CodedError where they are no training files that can be put together */
async function formOfFiles(
  c: EdgeContext,
  tenant: string,
  ids: readonly string[],
): Promise<FormName> {
  const forms = new Set<FormName>();
  let bytes = 0;
  for (const id of ids) {
    const file = await c.env.FILES.getByName(tenant).find(tenant, id);
    if (file?.purpose !== "fine-tune")
      throw wrong("training_files", `${id} is no file of this key to train with. Name others.`);
    bytes += file.bytes;
    const report = await reportOf(c.env, tenant, id);
    if (report === null)
      throw wrong("training_files", `${id} is not checked yet, or could not be. Try again later.`);
    if (report.container !== "jsonl" || report.form === null) {
      throw wrong(
        "training_files",
        `${id} is no JSON Lines, and corrections cannot be put to it. Upload it as JSON Lines, and name that.`,
      );
    }
    forms.add(report.form);
  }
  const [form] = forms;
  if (form === undefined || forms.size > 1)
    throw wrong("training_files", "They are of several forms. Name files of one form.");
  if (bytes > trainingLimits.fileBytesMax) {
    throw wrong(
      "training_files",
      `Together they have more than ${trainingLimits.fileBytesMax} bytes. Name fewer.`,
    );
  }
  return form;
}

function wrong(param: string, message: string): CodedError {
  return new CodedError("invalid_value", message, { param });
}

export async function getRetune(c: EdgeContext): Promise<Response> {
  const { alias, learning } = await retuneOf(c);
  return showRetune(c, alias, learning);
}

export async function deleteRetune(c: EdgeContext): Promise<Response> {
  const { alias, learning } = await retuneOf(c);
  if (!(await learning.removeRetune(alias.name))) throw retuneNotFound(alias);
  return c.json({
    object: "alias.retune",
    alias: calledName(alias.name),
    deleted: true,
  } satisfies z.infer<typeof DeletedRetune>);
}

function retuneNotFound({ name }: ModelAlias): CodedError {
  return new CodedError(
    "not_found",
    `${calledName(name)} is not re-tuned. Ask for it: POST /v1/aliases/${name}/retune.`,
    { param: "alias" },
  );
}

async function showRetune(
  c: EdgeContext,
  alias: ModelAlias,
  learning: Awaited<ReturnType<typeof retuneOf>>["learning"],
): Promise<Response> {
  const retune: (Retune & { examples: number }) | null = await learning.retune(
    alias.name,
    namesOf(alias),
  );
  if (retune === null) throw retuneNotFound(alias);
  const { settings, state, examples } = retune;
  const next = scheduledAt(retune);
  return c.json({
    object: "alias.retune",
    alias: calledName(alias.name),
    min_examples: settings.minExamples,
    every_days: settings.everyDays,
    training_files: settings.trainingFiles,
    share: settings.share,
    new_examples: examples,
    status: state.run === null ? "idle" : "running",
    job: state.run?.step === "train" ? state.run.job : null,
    next_at: next === null ? null : Math.floor(next / 1_000),
    events: state.events
      .map(({ at, level, message }) => ({ created_at: Math.floor(at / 1_000), level, message }))
      .toReversed(),
  } satisfies RetuneObject);
}
