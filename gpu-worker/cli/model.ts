/**
 * `npm run model`: what an operator does with models by hand. Each command lives in a file of its own; here are their
 * names, arguments and exit codes: 0 done, 1 not done (the reason on standard error), 2 wrong use, 130 interrupted.
 */
import { availableParallelism } from "node:os";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { TuningOptions } from "#contract/training/tuning-options.ts";
import { nameGivenTwice } from "#contract/training/label-names.ts";
import { hasProblems } from "#contract/training/report.ts";
import { readModelConfig } from "../config.ts";
import { openRuntime } from "../runtime/open-runtime.ts";
import { editMethods, writingMethods } from "#contract/augmentation/augmentation-plan.ts";
import { augmentationDefaults as usual } from "#contract/tasks/augmentation.ts";
import { type AugmentCommand, runAugment } from "./augment.ts";
import { type CheckDataCommand, runCheckData } from "./check-data.ts";
import { runEmbed } from "./embed-model.ts";
import { runExport } from "./export-model.ts";
import { runFetch } from "./fetch-model.ts";
import { runFitHead } from "./fit-head.ts";
import type { FieldNames } from "../fit/labelled-texts.ts";
import { type HoldOutCommand, runHoldOut } from "./hold-out.ts";
import { formatModels, listModels } from "./list-models.ts";
import { strategies, usualLora, usualSoftPrompt } from "../training/training-plan.ts";
import { runTune, type TuneCommand } from "./tune.ts";
import { defaultTolerance, verifyModel } from "./verify-model.ts";

const interruption = new AbortController();
process.once("SIGINT", () => interruption.abort(new Error("Interrupted")));
process.once("SIGTERM", () => interruption.abort(new Error("Interrupted")));
const { signal } = interruption;

const say = (text: string) => process.stdout.write(`${text}\n`);
const complain = (text: string) => process.stderr.write(`${text}\n`);

const program = new Command("npm run model --")
  .description("List, fetch, verify and make models; check data to train them with.")
  .option("--state <dir>", "state folder of the stack (default: LLM_OS_STATE, or .llm-os)")
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError()
  .exitOverride();

/** @throws ConfigError */
function modelConfig() {
  const { state } = program.opts<{ state?: string }>();
  const given = state === undefined ? {} : { LLM_OS_STATE: state };
  return readModelConfig({ ...process.env, ...given });
}

program
  .command("list")
  .description(
    "every model known here, where its files are, and what is wrong with those not served",
  )
  .option("--json", "as JSON")
  .action(async (options: { json?: true }) => {
    const { models, problem } = await listModels(modelConfig());
    if (problem !== null) complain(problem);
    say(options.json ? JSON.stringify(models, null, 2) : formatModels(models));
  });

program
  .command("fetch")
  .argument("<id>", "id or hub name of a model of the catalogue")
  .description("download a model's own files, resuming where an earlier try stopped")
  .action(async (id: string) => {
    const { stateFolder, hub } = modelConfig();
    say(await runFetch(id, { stateFolder, hub, signal }));
  });

function parseTolerance(text: string): number {
  const tolerance = Number(text);
  if (text.trim() !== "" && tolerance >= 0 && Number.isFinite(tolerance)) return tolerance;
  throw new InvalidArgumentError("a tolerance is a number, 0 or more.");
}

program
  .command("verify")
  .argument("<folder>", "a checkpoint with its expected.json")
  .description("compile a checkpoint, run its expected.json, and compare")
  .option("--tolerance <number>", "largest difference allowed", parseTolerance, defaultTolerance)
  .action(async (folder: string, { tolerance }: { tolerance: number }) => {
    const { threads, poolThreads } = modelConfig();
    // A single run is not told which runtime it has and how many sessions that could hold.
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, poolThreads });
    const options = { runtime, threads: threads ?? availableParallelism(), tolerance, signal };
    const { maxAbsDifference, outputs, compared, passed } = await verifyModel(folder, options);
    for (const [name, difference] of Object.entries(outputs)) say(`${name}: ${difference}`);
    say(`largest absolute difference: ${maxAbsDifference} (${compared} numbers compared)`);
    if (passed) return;
    complain(`more than the tolerance of ${tolerance}`);
    process.exitCode = 1;
  });

program
  .command("embed")
  .argument("<id>", "id of a fetched model")
  .description("make the int8 form of a sentence encoder that ships with the worker")
  .requiredOption("--out <folder>", "where to write it")
  .option("--from <folder>", "the f32 files, if not the fetched ones")
  .action(async (id: string, options: { out: string; from?: string }) => {
    const { stateFolder } = modelConfig();
    const from = options.from ?? null;
    say(await runEmbed(id, { stateFolder, from, to: options.out, signal }));
  });

function parseL2(text: string): number {
  const l2 = Number(text);
  if (text.trim() !== "" && l2 > 0 && Number.isFinite(l2)) return l2;
  throw new InvalidArgumentError("L2 is a number above 0, such as 0.01.");
}

type FitHeadOptions = {
  base: string;
  data: string[];
  out: string;
  text: string;
  label: string;
  licence?: string;
  l2?: number;
  force?: true;
};

program
  .command("fit-head")
  .description(
    "fit a classifier on the vectors of a frozen model and write it as an adapter folder",
  )
  .requiredOption("--base <id>", "id of a model that makes sentence vectors")
  .requiredOption("--data <files...>", "JSON Lines with a text and a label a line")
  .requiredOption("--out <folder>", "where to write it; the folder's name is the new model's id")
  .addOption(
    new Option("--task <task>", "what the head does")
      .choices(["text-classification"])
      .default("text-classification"),
  )
  .option("--text <field>", "field of the text", "text")
  .option("--label <field>", "field of the label", "label")
  .option("--licence <name>", "of the head, for its card")
  .option("--l2 <number>", "how strongly the head is held back, if not to be chosen", parseL2)
  .option("--force", "write over an adapter that is in the folder")
  .action(async (options: FitHeadOptions) => {
    const { text, label, licence = null, l2 = null, force = false, ...given } = options;
    const { threads, poolThreads, ...settings } = modelConfig();
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, poolThreads, ...(threads !== null && { threads }) });
    const words = process.argv.slice(2).join(" ");
    await runFitHead(
      { ...given, names: { text, label }, licence, l2, force, words },
      { settings, runtime, signal, stream: process.stderr, say },
    );
  });

type HoldOutOptions = Pick<HoldOutCommand, "data" | "training" | "heldOut"> &
  FieldNames & { force?: boolean };

program
  .command("hold-out")
  .description("part labelled texts, so that nothing trains that is part of a text that judges")
  .requiredOption("--data <files...>", "JSON Lines with a text and a label a line")
  .requiredOption("--training <file>", "where to write those that train")
  .requiredOption("--held-out <file>", "where to write those that judge")
  .option("--text <field>", "field of the text", "text")
  .option("--label <field>", "field of the label", "label")
  .option("--force", "write over files that are there")
  .action(async ({ text, label, force = false, ...files }: HoldOutOptions) => {
    await runHoldOut({ ...files, names: { text, label }, force }, say);
  });

type CheckDataOptions = { validation?: string; model?: string; json?: true };

program
  .command("check-data")
  .argument("<file>", "training file: JSON Lines, CSV, TSV, CoNLL, or plain text that ends in .txt")
  .description(
    "say what is wrong with a training file, line by line, and what its examples are like",
  )
  .option("--validation <file>", "examples to validate with, compared with the training file")
  .option("--model <id>", "count tokens as this model reads them")
  .option("--json", "the whole report as JSON")
  .action(async (file: string, { json, ...options }: CheckDataOptions) => {
    const { validation = null, model = null }: Partial<CheckDataCommand> = options;
    const tools = { settings: modelConfig, signal, stream: process.stderr };
    const { report, words } = await runCheckData({ file, validation, model }, tools);
    say(json ? JSON.stringify(report, null, 2) : words);
    if (hasProblems(report)) process.exitCode = 1;
  });

function parseWhole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("a whole number of 1 or more.");
}

function parseSeed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < 2 ** 32) return value;
  throw new InvalidArgumentError("a seed is a whole number below 2^32.");
}

/** @param words what is wrong with another */
function numberWhere(holds: (value: number) => boolean, words: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && holds(value)) return value;
    throw new InvalidArgumentError(words);
  };
}

const parseRate = numberWhere(
  (value) => value > 0 && value <= 1,
  "a learning rate lies above 0 and is at most 1.",
);
const parsePositive = numberWhere((value) => value > 0, "a number above 0.");
const parseThreshold = numberWhere((value) => value >= 0, "a number, 0 or more.");
const parseSmoothing = numberWhere(
  (value) => value >= 0 && value < 1,
  "label smoothing is a number from 0 to below 1.",
);

const labelNames = TuningOptions.shape.labelNames;

function addLabelName(name: string, before: readonly string[] = []): readonly string[] {
  const names = [...before, name];
  const { error } = labelNames.safeParse(names);
  if (error) throw new InvalidArgumentError(error.issues[0]?.message ?? "");
  if (nameGivenTwice(names) === undefined) return names;
  throw new InvalidArgumentError("name each class once.");
}

type Optional = Pick<
  TuneCommand,
  "validation" | "layers" | "epochs" | "learningRate" | "batch" | "patience"
>;
type Nested = "lora" | "softPrompt" | "skipInvalid" | "task";
type TuneOptions = Omit<TuneCommand, keyof Optional | Nested> & {
  [Name in keyof Optional]?: NonNullable<Optional[Name]>;
} & {
  skipInvalid?: true;
  loraRank: number;
  loraAlpha: number;
  virtualTokens: number;
  initialText?: string;
  labelNames?: readonly string[];
};

program
  .command("tune")
  .description("train a model on examples and write it, with a report, as a folder that is served")
  .requiredOption("--model <id>", "id of the base")
  .requiredOption("--data <file>", "examples, as check-data reads them")
  .requiredOption("--out <folder>", "where to write it; the folder's name is the new model's id")
  .option("--validation <file>", "examples to judge it by; default: a fifth of the data")
  .addOption(
    new Option("--strategy <name>", "what is trained")
      .choices(["auto", ...strategies])
      .default("auto"),
  )
  .option(
    "--layers <number>",
    "layers that are trained, from the last, of top-k (default: 2)",
    parseWhole,
  )
  .option("--epochs <number>", "times that all examples are gone through", parseWhole)
  .option("--learning-rate <number>", "the highest, after the warm-up", parseRate)
  .option("--learning-rate-multiplier <number>", "of the learning rate", parsePositive, 1)
  .option("--label-smoothing <number>", "of classes, what is wanted of all others", parseSmoothing)
  .option("--lora-rank <number>", "of the adapters of lora", parseWhole, usualLora.rank)
  .option("--lora-alpha <number>", "their weight, times the rank", parsePositive, usualLora.alpha)
  .option("--virtual-tokens <number>", "of soft-prompt", parseWhole, usualSoftPrompt.virtualTokens)
  .option("--initial-text <text>", "what they begin as; default: words by chance")
  .option("--patience <number>", "evaluations without a gain after which it stops", parseWhole)
  .option("--threshold <number>", "what counts as a gain of the score", parseThreshold, 0)
  .option(
    "--label-names <names...>",
    "of classes, where the data has their indices from 0; default: the data's labels",
    addLabelName,
  )
  .option("--skip-invalid", "leave bad examples out")
  .option("--batch <number>", "examples of a step", parseWhole)
  .option("--seed <number>", "decides what chance decides", parseSeed, 0)
  .option("--trials <number>", "options that are tried, the best then trained", parseWhole, 1)
  .option("--max-seconds <number>", "it ends by then with the best it has", parseWhole, 900)
  .option("--save-seconds <number>", "seconds between two saved states", parseWhole, 60)
  .action(async (options: TuneOptions) => {
    const { threads, poolThreads, ...settings } = modelConfig();
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, poolThreads, ...(threads !== null && { threads }) });
    const { loraRank: rank, loraAlpha: alpha, skipInvalid = false, ...others } = options;
    const { virtualTokens, initialText = null, ...given } = others;
    const nested = { lora: { rank, alpha }, softPrompt: { virtualTokens, initialText } };
    const { validation = null, epochs = null, learningRate = null } = given;
    const { layers = null, batch = null, patience = null } = given;
    const optional = { validation, layers, epochs, learningRate, batch, patience };
    const memoryBytes = process.availableMemory();
    const tools = { settings, runtime, memoryBytes, signal, stream: process.stderr, say };
    await runTune({ ...given, ...optional, ...nested, task: null, skipInvalid }, tools);
  });

const parseNumber = numberWhere(() => true, "a number.");

type AugmentOptions = Pick<AugmentCommand, "data" | "out" | "methods" | "pivot" | "embedder"> & {
  [Name in "text" | "label"]: string;
} & {
  [Name in "perExample" | "generatedMax" | "maxTokens" | "temperature" | "editShare"]: number;
} & { similarityMin: number; similarityMax: number; labelScoreMin: number; seed: number } & {
  generator?: string;
  judge?: string;
  zeroShot?: true;
  originals: boolean;
  force?: true;
};

program
  .command("augment")
  .description("make more examples of labelled ones, and keep those that keep their label")
  .requiredOption("--data <file>", "JSON Lines with a text and a label a line")
  .requiredOption("--out <file>", "where to write them; their scores come beside, as NAME.scores")
  .addOption(
    new Option("--methods <names...>", "how candidates are made, in turn")
      .choices([...editMethods, ...writingMethods])
      .default([...usual.methods]),
  )
  .option("--text <field>", "field of the text", "text")
  .option("--label <field>", "field of the label", "label")
  .option("--per-example <number>", "candidates of each", parseWhole, usual.per_example)
  .option("--generator <id>", "model that writes paraphrase, style, back_translation and slot")
  .option("--generated-max <number>", "candidates it writes", parseNumber, usual.generated_max)
  .option("--max-tokens <number>", "of each of its answers", parseWhole, usual.max_tokens)
  .option("--temperature <number>", "of the generator", parseNumber, usual.temperature)
  .option("--pivot <language>", "by which texts are translated and back", usual.pivot)
  .option(
    "--edit-share <number>",
    "of the words that an edit changes",
    parseNumber,
    usual.edit_share,
  )
  .option("--judge <id>", "model that says whether a label is kept; default: the embedder")
  .option("--zero-shot", "the judge goes by the labels' names")
  .option("--embedder <id>", "whose sentence vectors are compared", usual.embedder)
  .option("--similarity-min <number>", "least cosine", parseNumber, usual.similarity_min)
  .option("--similarity-max <number>", "largest cosine", parseNumber, usual.similarity_max)
  .option("--label-score-min <number>", "of the label", parseNumber, usual.label_score_min)
  .option("--seed <number>", "the same makes the same", parseSeed, usual.seed)
  .option("--no-originals", "leave the examples themselves out")
  .option("--force", "write over files that are there")
  .action(async (options: AugmentOptions) => {
    const { threads, poolThreads, ...settings } = modelConfig();
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, poolThreads, ...(threads !== null && { threads }) });
    const { text, label, force = false, generator = null, judge = null, ...given } = options;
    await runAugment(
      {
        ...given,
        force,
        generator,
        judge,
        names: { text, label },
        zeroShot: given.zeroShot ?? null,
        per_example: given.perExample,
        generated_max: given.generatedMax,
        max_tokens: given.maxTokens,
        edit_share: given.editShare,
        similarity_min: given.similarityMin,
        similarity_max: given.similarityMax,
        label_score_min: given.labelScoreMin,
      },
      { settings, runtime, signal, stream: process.stderr, say },
    );
  });

program
  .command("export")
  .argument("<model>", "a model's folder, or its id")
  .description("write a model as ONNX with its tokenizer and a script that runs it anywhere")
  .requiredOption("--out <folder>", "where to write it")
  .option("--merge", "of an adapter, its base's checkpoint with it merged too", false)
  .action(async (model: string, options: { out: string; merge: boolean }) => {
    const files = await runExport({ model, ...options }, modelConfig(), signal);
    for (const file of files) say(file);
  });

/** commander has already said what is wrong with the use; everything else is ours to say. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (signal.aborted) return 130;
  complain(error instanceof Error ? error.message : String(error));
  return 1;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
