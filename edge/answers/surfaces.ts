/**
 * The API surfaces: a row says how a result looks on one, how an error does, and by which name a caller knows the input
 * or the parameter that a worker names. Everything else about answers is the same for all of them.
 */
import type { PublicError } from "#contract/errors.ts";

import type { ResultHead, Usage } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import { type Task, type TaskOutput, tasks } from "#contract/tasks.ts";
import { cohereError, type ErrorForm, huggingFaceError, openaiError } from "./error-forms.ts";
import {
  chatChoice,
  completionChoice,
  completionUsage,
  fingerprint,
  generatedText,
  showChoices,
} from "./generations.ts";
import type { Job } from "./job.ts";
import { modelResponse, responseForm, unfinishedStatus } from "./model-response.ts";
import type { Rendering, RenderingOf } from "./rendering.ts";
import { decodeTokenVectors, decodeVector } from "./vector.ts";

/**
 * How one result is shown: `prefix`, its pieces with commas between them, `suffix`, so that one renderer serves a
 * result in memory and one that streams by. What is shown in other words than the worker's is parsed by its task's own
 * schema first, so a body is never built on a guess.
 */
export type ResultForm = {
  /** All outputs, or the items of the one output, which is a list. */
  pieces: "outputs" | "items";
  prefix: string;
  suffix: string;
  /** A piece, unread, in the words of this surface; null: it is shown as the worker wrote it. */
  show: ((piece: unknown, index: number) => string) | null;
  piecesMax: number;
  /** Whether the pieces stand in one more list, which the first of them tells. */
  listed: (first: unknown) => boolean;
};

type Surface<R extends Rendering> = {
  /** The JSON of an object with these fields in this order. */
  result: (rendering: R, head: ResultHead) => ResultForm;
  /** A job that has no result, as a call is answered that does not wait for it. Absent: as a job. */
  unfinished?: (rendering: R, job: Pick<Job, "status" | "error">) => object;
  /** @param input as a worker names it, `inputs[3].text` @returns as the caller wrote it */
  field: (rendering: R, input: string) => string;
  /** The field that holds the parameters; null: they stand in the body itself. */
  parameters: (rendering: R) => "parameters" | null;
  /** Parameters that a caller knows by another name than a worker. Absent: none. */
  renamed?: (rendering: R) => Readonly<Record<string, string>>;
  /** The addresses whose errors have another form than OpenAI's. */
  errors?: { prefixes: readonly string[]; form: ErrorForm };
};

const inBody = () => null;

const surfaces: { readonly [Route in Rendering["route"]]: Surface<RenderingOf<Route>> } = {
  "openai.embeddings": {
    result: ({ encodingFormat }, { model, usage }) => ({
      ...answers("feature-extraction"),
      ...listObject(model, usage),
      show: (piece, index) => {
        const vector = tasks["feature-extraction"].output.parse(piece);
        if (typeof vector !== "string") throw new Error("an embedding is one vector");
        const embedding = encodingFormat === "base64" ? vector : [...decodeVector(vector)];
        return JSON.stringify({ object: "embedding", index, embedding });
      },
    }),
    field: ({ single }, input) => input.replace(single ? /^inputs(\[0\])?/ : /^inputs/, "input"),
    parameters: inBody,
  },
  "openai.chat": {
    result: (rendering, head) => ({
      ...answers("chat-completion"),
      ...completionObject("chat.completion", rendering, head),
      show: (piece, index) =>
        showChoices(piece, index, (choice, at) => chatChoice(choice, at, rendering)),
    }),
    field: (_, input) =>
      input.replace(/^inputs(\[0\])?$/, "messages").replace(/^inputs\[0\]\./, ""),
    parameters: inBody,
    renamed: ({ maxTokensField, functionCalls, structureField }) => ({
      ...(maxTokensField !== null && { max_tokens: maxTokensField }),
      ...(structureField !== undefined && { structure: structureField }),
      ...(functionCalls && { tools: "functions", tool_choice: "function_call" }),
    }),
  },
  "openai.responses": {
    result: (rendering, head) => ({
      ...answers("chat-completion"),
      ...responseForm(rendering, head),
    }),
    unfinished: (rendering, { status, error }) =>
      modelResponse(rendering, { status: unfinishedStatus(status, rendering.background), error }),
    // Messages are made of the input's items, of what came before them and of the instructions.
    field: (_, input) => input.replace(/^inputs.*/, "input"),
    parameters: inBody,
    renamed: () => ({ max_tokens: "max_output_tokens", structure: "text.format" }),
  },
  "openai.completions": {
    result: (rendering, head) => ({
      ...answers("text-generation"),
      ...completionObject("text_completion", rendering, head),
      show: (piece, index) => showChoices(piece, index, completionChoice),
    }),
    field: ({ single }, input) => input.replace(single ? /^inputs(\[0\])?/ : /^inputs/, "prompt"),
    parameters: inBody,
    renamed: ({ structureField }) => ({
      top_logprobs: "logprobs",
      ...(structureField !== undefined && { structure: structureField }),
    }),
  },
  "hugging-face.text-generation": {
    result: (rendering) => ({
      ...listOf("text-generation"),
      show: (piece, index) =>
        showChoices(piece, index, (choice) => generatedText(choice, rendering)),
    }),
    field: (_, input) => input.replace(/^inputs\[0\]/, "inputs"),
    parameters: () => "parameters",
    renamed: ({ structureField }) => ({
      max_tokens: "max_new_tokens",
      top_logprobs: "top_n_tokens",
      ...(structureField !== undefined && { structure: structureField }),
    }),
  },
  "hugging-face.written": {
    result: ({ field }) => ({
      ...listOf("chat-completion"),
      show: (piece, index) => showChoices(piece, index, ({ text }) => ({ [field]: text.trim() })),
    }),
    field: ({ single }, input) => (single ? input.replace(/^inputs\[0\]/, "inputs") : input),
    parameters: () => "parameters",
    renamed: () => ({ max_tokens: "max_new_tokens" }),
  },
  "prompt.evaluation": {
    result: () => answers("prompt-evaluation"),
    field: (_, input) => input.replace(/^inputs\[0\]\./, ""),
    parameters: () => "parameters",
  },
  augmentation: {
    result: () => answers("augmentation"),
    field: (_, input) => input.replace(/^inputs\[0\]\./, ""),
    parameters: inBody,
    renamed: () => ({ model: "judge" }),
  },
  "hugging-face": {
    result: ({ task, single }) =>
      single ? answerToOne(task) : { ...listOf(task), show: showOf(task, asBatch) },
    field: ({ single }, input) => (single ? input.replace(/^inputs\[0\]/, "inputs") : input),
    parameters: ({ task }) => (isFlat(task) ? null : "parameters"),
    errors: { prefixes: ["/hf/"], form: huggingFaceError },
  },
  tasks: {
    result: (_, { task, model, usage }) => ({ ...answers(task), ...listObject(model, usage) }),
    field: (_, input) => input,
    parameters: () => "parameters",
  },
  "cohere.rerank": {
    result: ({ id, topN }, { model, usage }) => ({
      ...answers("rerank"),
      pieces: "items",
      prefix: `{"id":${JSON.stringify(id)},"object":"list","model":${JSON.stringify(model)},"results":[`,
      suffix: `],"usage":${usageText(usage)},"meta":${JSON.stringify(cohereMeta(usage))}}`,
      show: (piece) => JSON.stringify(rankedDocument(piece)),
      piecesMax: topN ?? Infinity,
    }),
    field: (_, input) => rerankField(input).replace(/^texts/, "documents"),
    parameters: inBody,
    // Nobody but Cohere's clients asks for anything under /v2.
    errors: { prefixes: ["/v1/rerank", "/v2/"], form: cohereError },
  },
  "tei.rerank": {
    result: ({ topN }) => ({ ...listOf("rerank"), pieces: "items", piecesMax: topN ?? Infinity }),
    field: (_, input) => rerankField(input),
    parameters: inBody,
  },
  "tuning-plan": {
    result: ({ trainingFile, validationFile }, { model }) => ({
      ...answers("tuning-plan"),
      show: (piece) => {
        const plan = tasks["tuning-plan"].output.parse(piece);
        const files = { training_file: trainingFile, validation_file: validationFile };
        return JSON.stringify({ object: "fine_tuning.dry_run", model, ...files, ...plan });
      },
    }),
    field: () => "training_file",
    parameters: inBody,
  },
  tokens: {
    result: ({ single }, { task, model }) => ({
      ...answers(task),
      ...(single ? {} : listObject(model, null)),
    }),
    field: ({ field, single }, input) =>
      input.replace(single ? /^inputs(\[0\])?/ : /^inputs/, field),
    parameters: inBody,
  },
};

/** @returns how the result is shown */
export function resultFormOf(rendering: Rendering, head: ResultHead): ResultForm {
  return surfaceOf(rendering).result(rendering, head);
}

/** @returns the answer to a call that does not wait for the job; null: the job itself */
export function unfinishedBody(
  rendering: Rendering,
  job: Pick<Job, "status" | "error">,
): object | null {
  return surfaceOf(rendering).unfinished?.(rendering, job) ?? null;
}

const parameterNames = new Set(
  Object.values(taskTable).flatMap(({ parameters }) => Object.keys(parameters.shape)),
);

/** @returns a parameter, or a part of one, as the caller wrote it: the contract calls it by its bare name */
export function parameterField(rendering: Rendering, parameter: string): string {
  const holder = surfaceOf(rendering).parameters(rendering);
  const name = ownName(rendering, parameter);
  return holder !== null && parameterNames.has(wholeOf(parameter)) ? `${holder}.${name}` : name;
}

function ownName(rendering: Rendering, parameter: string): string {
  const whole = wholeOf(parameter);
  const renamed = surfaceOf(rendering).renamed?.(rendering)[whole] ?? whole;
  return renamed + parameter.slice(whole.length);
}

/** `tools` of `tools[3]`. */
function wholeOf(parameter: string): string {
  return /^\w*/.exec(parameter)?.[0] ?? "";
}

/** A message may name a second input, `inputs[0].query` beside `inputs[0].texts[3]`. */
const inputName = /\binputs\[\d+\](\.\w+(\[\d+\])?)?/g;

/**
 * @returns a worker's error in the caller's words: the worker knows a job's inputs, the caller the field of the route
 */
export function renderError(rendering: Rendering, error: PublicError): PublicError {
  const { param } = error;
  if (param === null) return error;
  const { field } = surfaceOf(rendering);
  const message = error.message.replaceAll(inputName, (name) => field(rendering, name));
  if (!param.startsWith("inputs")) {
    const name = ownName(rendering, param);
    const told = name === param ? message : message.replaceAll(param, name);
    return { ...error, param: parameterField(rendering, param), message: told };
  }
  const own = field(rendering, param);
  return { ...error, param: own, message: message.replaceAll(param, own) };
}

/** @param path of the call: an error may come before it is known what was asked */
export function errorFormAt(path: string): ErrorForm {
  const rows: readonly Pick<Surface<never>, "errors">[] = Object.values(surfaces);
  const own = rows.find(({ errors }) => errors?.prefixes.some((prefix) => path.startsWith(prefix)));
  return own?.errors?.form ?? openaiError;
}

/** A row takes the rendering that bears its name: the one thing TypeScript cannot see of such a table. */
function surfaceOf({ route }: Rendering): Surface<Rendering> {
  return surfaces[route] as Surface<Rendering>;
}

/**
 * Outputs that do not travel as callers see them. Under Hugging Face's routes these are one row per input, whether the
 * caller sent a list or not.
 */
const decoders: { readonly [T in Task]?: (output: TaskOutput<T>) => unknown } = {
  "feature-extraction": (output) =>
    typeof output === "string" ? [...decodeVector(output)] : decodeTokenVectors(output),
};

/** What each input is answered by, where that is not what the worker wrote. */
function showOf<T extends Task>(
  task: T,
  shape: (answer: unknown) => unknown = (answer) => answer,
): ((piece: unknown) => string) | null {
  const decode: ((output: TaskOutput<T>) => unknown) | undefined = decoders[task];
  if (decode === undefined) return null;
  const schema = taskTable[task].output;
  return (piece) => JSON.stringify(shape(decode(schema.parse(piece))));
}

/** All answers, one after the other. */
function answers(task: Task): ResultForm {
  return {
    pieces: "outputs",
    prefix: "",
    suffix: "",
    show: showOf(task),
    piecesMax: Infinity,
    listed: () => false,
  };
}

function listOf(task: Task): ResultForm {
  return { ...answers(task), prefix: "[", suffix: "]" };
}

/** Hugging Face's answer to a call that gave one input. */
function answerToOne(task: Task): ResultForm {
  if (decoders[task] !== undefined) return listOf(task);
  const listsOne = taskTable[task].huggingFace?.listsOne;
  if (listsOne === undefined) return answers(task);
  return { ...listOf(task), pieces: "items", listed: listsOne };
}

/** As OpenAI words it, and how many inputs were cut where any was. */
export function usageBody(usage: Usage) {
  const { promptTokens, truncatedInputs } = usage;
  return {
    ...(usage.completionTokens === undefined
      ? { prompt_tokens: promptTokens, total_tokens: promptTokens }
      : completionUsage(usage)),
    ...(truncatedInputs === undefined ? {} : { truncated_inputs: truncatedInputs }),
  };
}

function isFlat(task: Task): boolean {
  return taskTable[task].huggingFace?.flat === true;
}

/** OpenAI's list. @param usage null: it tells none */
function listObject(model: string, usage: Usage | null): Pick<ResultForm, "prefix" | "suffix"> {
  const usageField = usage === null ? "" : `,"usage":${usageText(usage)}`;
  return {
    prefix: '{"object":"list","data":[',
    suffix: `],"model":${JSON.stringify(model)}${usageField}}`,
  };
}

/** OpenAI's object around choices. */
function completionObject(
  object: "chat.completion" | "text_completion",
  { id, created }: { id: string; created: number },
  { model, modelDigest, usage }: ResultHead,
): Pick<ResultForm, "prefix" | "suffix"> {
  const frame = { id, object, created, model, system_fingerprint: fingerprint(modelDigest) };
  return {
    prefix: `${JSON.stringify(frame).slice(0, -1)},"choices":[`,
    suffix: `],"usage":${JSON.stringify(completionUsage(usage))}}`,
  };
}

function usageText(usage: Usage): string {
  return JSON.stringify(usageBody(usage));
}

/** Transformers gives the token vectors of each text of a list as a batch of one. */
function asBatch(answer: unknown): unknown {
  const isTokenVectors =
    Array.isArray(answer) && Array.isArray(answer[0]) && typeof answer[0][0] === "number";
  return isTokenVectors ? [answer] : answer;
}

/** Cohere's clients want it in every answer. No search units: nothing here is billed by them. */
function cohereMeta({ promptTokens }: Usage) {
  return {
    api_version: { version: "2" },
    tokens: { input_tokens: promptTokens, output_tokens: 0 },
  };
}

function rankedDocument(piece: unknown) {
  const { index, score, text } = tasks.rerank.output.element.parse(piece);
  return {
    index,
    relevance_score: score,
    ...(text === undefined ? {} : { document: { text } }),
  };
}

/** Of the one input, `{query, texts}`. */
function rerankField(input: string): string {
  return input.replace(/^inputs(\[0\])?$/, "texts").replace(/^inputs\[0\]\./, "");
}
