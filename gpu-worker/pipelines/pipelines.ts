/** The table of pipelines. A task added to the contract does not compile until it has a row here. */
import type { Task } from "#contract/tasks.ts";
import { augmentation } from "./augmentation.ts";
import { chatCompletion } from "./chat-completion.ts";
import { detokenize } from "./detokenize.ts";
import { featureExtraction } from "./feature-extraction.ts";
import { fewShotClassification } from "./few-shot-classification.ts";
import { fileCheck } from "./file-check.ts";
import { fillMask } from "./fill-mask.ts";
import { loadModel } from "./load-model.ts";
import { noop } from "./noop.ts";
import { promptEvaluation } from "./prompt-evaluation.ts";
import { questionAnswering } from "./question-answering.ts";
import { relationExtraction } from "./relation-extraction.ts";
import { rerank } from "./rerank.ts";
import { sentenceSimilarity } from "./sentence-similarity.ts";
import { textClassification } from "./text-classification.ts";
import { textGeneration } from "./text-generation.ts";
import { tokenClassification } from "./token-classification.ts";
import { tokenize } from "./tokenize.ts";
import { tuningPlan } from "./tuning-plan.ts";
import { zeroShotClassification } from "./zero-shot-classification.ts";
import type { Pipeline } from "./pipeline.ts";

export const pipelines: { readonly [T in Task]: Pipeline<T> } = {
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
};
