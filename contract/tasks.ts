/**
 * The table of tasks. A row makes a task exist: the queue message, the result, the routes and the published API follow
 * from it, and the worker's table of pipelines does not compile until the task is served.
 */
import * as z from "zod";
import { augmentation } from "./tasks/augmentation.ts";
import { chatCompletion } from "./tasks/chat-completion.ts";
import { detokenize } from "./tasks/detokenize.ts";
import { featureExtraction } from "./tasks/feature-extraction.ts";
import { fewShotClassification } from "./tasks/few-shot-classification.ts";
import { fileCheck } from "./tasks/file-check.ts";
import { fillMask } from "./tasks/fill-mask.ts";
import { loadModel } from "./tasks/load-model.ts";
import { noop } from "./tasks/noop.ts";
import { promptEvaluation } from "./tasks/prompt-evaluation.ts";
import { questionAnswering } from "./tasks/question-answering.ts";
import { relationExtraction } from "./tasks/relation-extraction.ts";
import { rerank } from "./tasks/rerank.ts";
import { sentenceSimilarity } from "./tasks/sentence-similarity.ts";
import { textClassification } from "./tasks/text-classification.ts";
import { textGeneration } from "./tasks/text-generation.ts";
import { tokenClassification } from "./tasks/token-classification.ts";
import { tokenize } from "./tasks/tokenize.ts";
import { tuningPlan } from "./tasks/tuning-plan.ts";
import { zeroShotClassification } from "./tasks/zero-shot-classification.ts";

export const tasks = {
  noop,
  "feature-extraction": featureExtraction,
  "sentence-similarity": sentenceSimilarity,
  "text-classification": textClassification,
  "token-classification": tokenClassification,
  "relation-extraction": relationExtraction,
  "question-answering": questionAnswering,
  "zero-shot-classification": zeroShotClassification,
  "few-shot-classification": fewShotClassification,
  "fill-mask": fillMask,
  rerank,
  "chat-completion": chatCompletion,
  "text-generation": textGeneration,
  tokenize,
  detokenize,
  "file-check": fileCheck,
  "load-model": loadModel,
  "prompt-evaluation": promptEvaluation,
  augmentation,
  "tuning-plan": tuningPlan,
} as const;

export type Task = keyof typeof tasks;
export const Task = z.enum(Object.keys(tasks) as [Task, ...Task[]]);

/** What every model does that makes sentence vectors, in the order of the table. */
export const sentenceTasks: readonly Task[] = Task.options.filter(
  (task) => tasks[task].ofSentenceEncoders === true,
);

export type TaskInput<T extends Task> = z.infer<(typeof tasks)[T]["input"]>;
export type TaskParameters<T extends Task> = z.infer<(typeof tasks)[T]["parameters"]>;
export type TaskOutput<T extends Task> = z.infer<(typeof tasks)[T]["output"]>;
