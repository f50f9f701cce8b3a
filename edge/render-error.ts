/** A worker's error in the caller's words: the worker knows a job's inputs, the caller the field of the route. */
import type { PublicError } from "#contract/errors.ts";
import type { Rendering } from "./jobs/job-spec.ts";
import { taskTable } from "./task-table.ts";

export function renderError(rendering: Rendering, error: PublicError): PublicError {
  const { param, message } = error;
  if (param === null) return error;
  const named = fieldOf(rendering, param);
  const renamed = message
    .replaceAll(param, named)
    .replaceAll(inputName, (name) => fieldOf(rendering, name));
  return { ...error, param: named, message: renamed };
}

/** A message may name a second input, `inputs[0].query` beside `inputs[0].texts[3]`. */
const inputName = /\binputs\[\d+\](\.\w+(\[\d+\])?)?/g;

function fieldOf(rendering: Rendering, param: string): string {
  switch (rendering.route) {
    case "openai.embeddings":
      return param.replace(/^inputs/, "input");
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
      return topLevel(param).replace(single ? /^inputs(\[0\])?/ : /^inputs/, field);
    }
  }
}

type HuggingFaceRendering = Extract<Rendering, { route: "hugging-face" }>;

function huggingFaceField({ task, single }: HuggingFaceRendering, param: string): string {
  const flat = taskTable[task].huggingFace?.flat === true;
  const placed = flat ? topLevel(param) : param;
  return single ? placed.replace(/^inputs\[0\]/, "inputs") : placed;
}

/** Of the one input, `{query, texts}`. */
function rerankField(param: string): string {
  return topLevel(param)
    .replace(/^inputs(\[0\])?$/, "texts")
    .replace(/^inputs\[0\]\./, "");
}

/** Where parameters stand beside the inputs. */
function topLevel(param: string): string {
  return param.replace(/^parameters\./, "");
}
