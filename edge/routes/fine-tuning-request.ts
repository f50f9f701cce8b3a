/** The body of POST /v1/fine_tuning/jobs: OpenAI's fields, and ours beside them. */
import * as z from "zod";
import { cutText } from "#contract/cut-text.ts";
import { CodedError } from "#contract/errors.ts";
import { LabelName } from "#contract/tasks/fields.ts";
import { TrainingTask } from "#contract/training/forms.ts";
import { nameGivenTwice } from "#contract/training/label-names.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import {
  tuningBounds,
  type TuningOptions,
  TuningStrategy,
} from "#contract/training/tuning-options.ts";
import { tunedModelBounds } from "#contract/training/tuned-model.ts";
import { validate } from "../http/validation.ts";
import { unsupported } from "../tasks/unsupported.ts";

/** OpenAI's limits. */
const [pairsMax, keyMax, valueMax] = [16, 64, 512];
const secondsDefault = 900;
const seedMax = 2 ** 31 - 1;
const { suffixCharactersMax } = tunedModelBounds;

const fileId = z.string().max(100);
const auto = z.literal("auto");

export const Hyperparameters = z.strictObject({
  n_epochs: z
    .union([auto, z.int().positive().max(tuningBounds.epochsMax)])
    .optional()
    .describe("How often all examples are gone through. auto: by the data and the time there is."),
  batch_size: z
    .union([auto, z.int().positive().max(tuningBounds.batchMax)])
    .optional()
    .describe("Examples of a step. auto: as the base is best trained."),
  learning_rate_multiplier: z
    .union([auto, z.number().positive().max(tuningBounds.learningRateMultiplierMax)])
    .optional()
    .describe("Of the learning rate that is chosen. auto: 1."),
});
type Hyperparameters = z.infer<typeof Hyperparameters>;

const Method = z.strictObject({
  type: z.literal("supervised").describe("By examples with their answers, the only one here."),
  supervised: z
    .strictObject({ hyperparameters: Hyperparameters.optional().describe("How it is trained.") })
    .optional()
    .describe("Its settings."),
});

const Lora = z.strictObject({
  rank: z.int().positive().max(tuningBounds.loraRankMax).describe("Of the adapters' matrices."),
  alpha: z
    .number()
    .positive()
    .max(tuningBounds.loraAlphaMax)
    .describe("Their scale is alpha / rank."),
});

const virtualTokensDefault = 20;

const SoftPrompt = z.strictObject({
  virtual_tokens: z
    .int()
    .positive()
    .max(tuningBounds.virtualTokensMax)
    .optional()
    .describe(
      `Tokens that are learnt, and put before each text. Default: ${virtualTokensDefault}.`,
    ),
  initial_text: z
    .string()
    .min(1)
    .max(tuningBounds.initialTextCharactersMax)
    .optional()
    .describe("What they begin as, repeated or cut. Default: words drawn by the seed."),
});

const EarlyStopping = z.strictObject({
  patience: z.int().positive().describe("Evaluations that may bring nothing before it stops."),
  threshold: z
    .number()
    .nonnegative()
    .describe("What counts as better is better by more than this."),
});

/** Ours. */
const own = {
  task: TrainingTask.optional().describe("What it is trained for. Default: as its file says."),
  strategy: TuningStrategy.optional().describe(
    "What is trained: a head, the last layers, everything, adapters (lora), tokens before each text (soft-prompt), " +
      "or what fits the time (auto, the default).",
  ),
  layers: z
    .int()
    .positive()
    .max(tuningBounds.layersMax)
    .optional()
    .describe("Layers that top-k trains. Default: 2."),
  learning_rate: z
    .number()
    .positive()
    .max(tuningBounds.learningRateMax)
    .optional()
    .describe("The highest learning rate. Default: by the base."),
  label_smoothing: z
    .number()
    .nonnegative()
    .lt(1)
    .optional()
    .describe(
      "Of classes, one for each text or word: so much of what is wanted is spread over all of them, as torch's " +
        "CrossEntropyLoss does. Default: 0.1 of texts of twenty classes and more, else 0.",
    ),
  lora: Lora.optional().describe("Of the strategy lora."),
  soft_prompt: SoftPrompt.optional().describe("Of the strategy soft-prompt."),
  early_stopping: EarlyStopping.optional().describe("When it ends before its last step."),
  n_trials: z
    .int()
    .positive()
    .max(tuningBounds.trialsMax)
    .optional()
    .describe("Trainings with other settings, of which the best is kept. Default: one."),
  max_seconds: z
    .int()
    .positive()
    .max(tuningBounds.secondsMax)
    .optional()
    .describe(
      `Seconds of training, at most: settings are chosen to fit. Default: ${secondsDefault}.`,
    ),
  dry_run: z
    .boolean()
    .optional()
    .describe(
      "Create nothing, and answer what the job would do and cost, and what its files are like. Default: false.",
    ),
  label_names: z
    .array(LabelName)
    .min(1)
    .max(trainingLimits.labelsMax)
    .optional()
    .describe(
      "Names of the classes, by their index; of tags, the kinds of entities. A label of the file is one of them, or " +
        "its index from 0. Default: the labels that the file has.",
    ),
  skip_invalid: z
    .boolean()
    .optional()
    .describe("Leave bad examples out. Default: a file that has any is refused."),
} as const;

export const MetadataPairs = z.record(z.string(), z.string().max(valueMax));

export const CreateTuningJobRequest = z.strictObject({
  model: z
    .string()
    .min(1)
    .max(200)
    .describe("Id or alias of the model to start from, a tuned one of the key too."),
  training_file: fileId.describe("Id of a file to train with."),
  validation_file: fileId
    .optional()
    .describe("Id of a file to choose and to judge by. Default: part of the other is held out."),
  method: Method.optional().describe("How it is trained. Default: supervised, all auto."),
  hyperparameters: Hyperparameters.optional().describe("As in method. Deprecated by OpenAI."),
  suffix: z
    .string()
    .min(1)
    .max(suffixCharactersMax)
    .optional()
    .describe("Part of the tuned model's name: letters, digits, - and _."),
  seed: z
    .int()
    .nonnegative()
    .max(seedMax)
    .optional()
    .describe("The same seed trains the same. Default: chosen by chance, and shown."),
  integrations: z.array(z.unknown()).max(0).optional().describe("None are done: an empty list."),
  metadata: MetadataPairs.optional().describe(`Up to ${pairsMax} pairs, to find the job by.`),
  ...own,
});
export type CreateTuningJobRequest = z.infer<typeof CreateTuningJobRequest>;

/** @throws CodedError that names the field, its limit and what to do */
export function readTuningRequest(body: unknown): CreateTuningJobRequest {
  refuseOthers(body);
  const request = validate(CreateTuningJobRequest, body);
  checkMetadata(request.metadata ?? {});
  checkSuffix(request.suffix ?? "");
  checkTogether(request);
  checkLabelNames(request.label_names ?? []);
  return request;
}

/** What OpenAI has, and is not done here. */
function refuseOthers(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  if ("integrations" in body && !isNothing(body.integrations)) throw unsupported(["integrations"]);
  if (!("method" in body) || typeof body.method !== "object" || body.method === null) return;
  const type = "type" in body.method ? body.method.type : undefined;
  for (const name of ["dpo", "reinforcement"]) {
    if (type !== name && !(name in body.method)) continue;
    throw unsupported(["method", type === name ? "type" : name], "Send the type supervised.");
  }
}

function isNothing(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

function wrong(param: string, message: string): CodedError {
  return new CodedError("invalid_value", message, { param: param.slice(0, 200) });
}

export function checkMetadata(metadata: Record<string, string>): void {
  const keys = Object.keys(metadata);
  if (keys.length > pairsMax)
    throw wrong(
      "metadata",
      `metadata holds ${keys.length} pairs, and at most ${pairsMax} are kept. Send fewer.`,
    );
  const long = keys.find((key) => key.length > keyMax);
  if (long !== undefined) {
    throw wrong(
      "metadata",
      `A key of metadata is over its limit of ${keyMax} characters: ${long.slice(0, keyMax)}… Shorten it.`,
    );
  }
}

function checkSuffix(suffix: string): void {
  if (/^[\w-]*$/.test(suffix)) return;
  throw wrong("suffix", "suffix may hold letters, digits, - and _. Leave other characters out.");
}

function checkLabelNames(names: readonly string[]): void {
  const twice = nameGivenTwice(names);
  if (twice === undefined) return;
  const shown = JSON.stringify(cutText(twice, 100));
  throw wrong("label_names", `label_names has ${shown} twice. Name each class once.`);
}

/** What has no meaning beside something else. */
function checkTogether(request: CreateTuningJobRequest): void {
  const { strategy = "auto", layers, lora, soft_prompt: softPrompt } = request;
  if (layers !== undefined && strategy !== "top-k")
    throw wrong(
      "layers",
      "layers belongs to the strategy top-k. Send that too, or leave layers out.",
    );
  if (request.label_smoothing !== undefined && strategy === "head")
    throw wrong(
      "label_smoothing",
      "label_smoothing has no part in the strategy head. Send another, or leave label_smoothing out.",
    );
  if (lora !== undefined && strategy !== "lora")
    throw wrong("lora", "lora belongs to the strategy lora. Send that too, or leave lora out.");
  if (softPrompt !== undefined && strategy !== "soft-prompt")
    throw wrong(
      "soft_prompt",
      "soft_prompt belongs to the strategy soft-prompt. Send that too, or leave soft_prompt out.",
    );
  checkRates(request);
}

function checkRates(request: CreateTuningJobRequest): void {
  const { learning_rate: rate } = request;
  const { learning_rate_multiplier: multiplier = "auto" } = hyperparametersOf(request);
  if (rate !== undefined && multiplier !== "auto") {
    throw wrong(
      "learning_rate",
      "learning_rate and learning_rate_multiplier contradict each other. Send one of them.",
    );
  }
}

/** @throws CodedError where both places say something */
function hyperparametersOf({ method, hyperparameters }: CreateTuningJobRequest): Hyperparameters {
  const ofMethod = method?.supervised?.hyperparameters;
  if (ofMethod !== undefined && hyperparameters !== undefined) {
    throw wrong(
      "hyperparameters",
      "hyperparameters stand in method too. Send method.supervised.hyperparameters alone.",
    );
  }
  return ofMethod ?? hyperparameters ?? {};
}

/** @param seed where none was sent */
export function optionsOf(request: CreateTuningJobRequest, seed: number): TuningOptions {
  const { n_epochs, batch_size, learning_rate_multiplier } = hyperparametersOf(request);
  return {
    task: request.task ?? null,
    strategy: request.strategy ?? "auto",
    layers: request.layers ?? null,
    epochs: chosen(n_epochs),
    batch: chosen(batch_size),
    learningRate: request.learning_rate ?? null,
    learningRateMultiplier: chosen(learning_rate_multiplier),
    labelSmoothing: request.label_smoothing ?? null,
    lora: request.lora ?? null,
    softPrompt: softPromptOf(request),
    earlyStopping: request.early_stopping ?? null,
    trials: request.n_trials ?? null,
    seed: request.seed ?? seed,
    maxSeconds: maxSecondsOf(request),
    labelNames: request.label_names ?? null,
    skipInvalid: request.skip_invalid ?? false,
  };
}

function softPromptOf({ soft_prompt: asked }: CreateTuningJobRequest): TuningOptions["softPrompt"] {
  if (asked === undefined) return null;
  const { virtual_tokens: virtualTokens = virtualTokensDefault, initial_text: text } = asked;
  return { virtualTokens, initialText: text ?? null };
}

export function maxSecondsOf({ max_seconds: given }: CreateTuningJobRequest): number {
  return given ?? secondsDefault;
}

function chosen(value: number | "auto" | undefined): number | null {
  return value === undefined || value === "auto" ? null : value;
}

export function randomSeed(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) & seedMax;
}
