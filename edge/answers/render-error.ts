/** A worker's error in the caller's words: the worker knows a job's inputs, the caller the field of the route. */
import type { PublicError } from "#contract/errors.ts";
import type { Task } from "#contract/tasks.ts";
import type { Rendering } from "../jobs/job-spec.ts";
import { taskNames, taskTable } from "#contract/task-table.ts";

export function renderError(rendering: Rendering, error: PublicError): PublicError {
  const { param, message } = error;
  if (param === null) return error;
  if (!param.startsWith("inputs")) return { ...error, param: parameterField(rendering, param) };
  const renamed = message
    .replaceAll(param, fieldOf(rendering, param))
    .replaceAll(inputName, (name) => fieldOf(rendering, name));
  return { ...error, param: fieldOf(rendering, param), message: renamed };
}

const parameterNames = new Set(
  taskNames.flatMap((task) => Object.keys(taskTable[task].parameters.shape)),
);

/** As the caller knows it. The contract calls a parameter by its bare name; most routes have it under `parameters`. */
export function parameterField(rendering: Rendering, param: string): string {
  const nested =
    rendering.route === "tasks" || (rendering.route === "hugging-face" && !isFlat(rendering.task));
  return nested && parameterNames.has(param) ? `parameters.${param}` : param;
}

/** A message may name a second input, `inputs[0].query` beside `inputs[0].texts[3]`. */
const inputName = /\binputs\[\d+\](\.\w+(\[\d+\])?)?/g;

function fieldOf(rendering: Rendering, param: string): string {
  switch (rendering.route) {
    case "openai.embeddings":
      return param.replace(rendering.single ? /^inputs(\[0\])?/ : /^inputs/, "input");
    case "hugging-face":
      return huggingFaceField(rendering, param);
    case "tasks":
      return param;
    case "cohere.rerank":
      return rerankField(param).replace(/^texts/, "documents");
    case "tei.rerank":
      return rerankField(param);
    case "tokens": {
      const { field, single } = rendering;
      return param.replace(single ? /^inputs(\[0\])?/ : /^inputs/, field);
    }
  }
}

type HuggingFaceRendering = Extract<Rendering, { route: "hugging-face" }>;

function huggingFaceField({ single }: HuggingFaceRendering, param: string): string {
  return single ? param.replace(/^inputs\[0\]/, "inputs") : param;
}

function isFlat(task: Task): boolean {
  return taskTable[task].huggingFace?.flat === true;
}

/** Of the one input, `{query, texts}`. */
function rerankField(param: string): string {
  return param.replace(/^inputs(\[0\])?$/, "texts").replace(/^inputs\[0\]\./, "");
}
