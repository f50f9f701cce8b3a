/** The operations that make more examples of those there are. */
import { tasks } from "#contract/tasks.ts";
import { FileObject } from "../files/stored-file.ts";
import { AugmentQuote, AugmentRequest, ExportAugmentationRequest } from "../routes/augment.ts";
import { jobId } from "./examples.ts";
import type { Operation } from "./operation.ts";

const path = "/v1/augment";
const tag = "Fine-tuning";
const { model, input } = tasks.augmentation.example;

export const augmentOperations: readonly Operation[] = [
  {
    method: "post",
    path: `${path}/export`,
    id: "exportAugmentation",
    tag,
    summary: "Write what an augmentation kept as a training file",
    description:
      "A file of the key, one text with its label a line, the examples first: a training_file once it was checked.",
    request: ExportAugmentationRequest,
    response: FileObject,
    example: {
      request: { job: jobId },
      response: {
        id: "file-5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21",
        object: "file",
        bytes: 214,
        created_at: 1_764_336_000,
        filename: "augmented-000000000000000000000000000000b3.jsonl",
        purpose: "fine-tune",
        status: "uploaded",
      },
    },
    errors: [400, 401, 403, 404, 408, 413, 415, 429, 500],
    headers: "any",
  },
];

/** It runs as a job: the answer is the job, or the quote that was asked for. */
export const augmentOperation = {
  path,
  id: "augmentExamples",
  tag,
  summary: "Make more examples of labelled ones",
  description:
    "Always a job: 202 with its address. Its output holds the new examples that kept their label, with the scores of " +
    "each, and counts the others by reason. With dry_run: what it would cost.",
  request: AugmentRequest,
  response: AugmentQuote,
  example: {
    request: { examples: input.examples, methods: ["swap", "keyboard"], dry_run: true },
    response: {
      object: "augmentation.quote",
      judge: model,
      candidates: 8,
      answers: 0,
      units: 233,
    },
  },
} as const;
