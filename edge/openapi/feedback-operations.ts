/** The operations on what callers say of answers. */
import { FileObject } from "../files/stored-file.ts";
import {
  DeletedFeedback,
  ExportRequest,
  FeedbackCounts,
  FeedbackObject,
  FeedbackRequest,
} from "../routes/feedback.ts";
import { fileId } from "./file-operations.ts";
import type { Operation } from "./operation.ts";

const path = "/v1/feedback";
const model = "ft:@mood";
const tag = "Learning from use";
const headers = "any";

const counted = {
  model,
  examples: 120,
  ratings: { up: 40, down: 7 },
  form: "single-label",
  last_at: 1_764_336_000,
} as const;

const named = { model: { description: "Under which name it was said.", example: model } };

export const feedbackOperations: readonly Operation[] = [
  {
    method: "post",
    path,
    id: "giveFeedback",
    tag,
    summary: "Say what an answer should have been",
    description:
      "The correct answer is kept as an example to train with; a rating is counted. Of the same input the last counts.",
    request: FeedbackRequest,
    response: FeedbackObject,
    example: {
      request: { model, input: "Not my cup of tea.", label: "negative" },
      response: { object: "feedback", model, status: "new", form: "single-label", examples: 120 },
    },
    errors: [400, 401, 403, 404, 408, 413, 415, 429, 500],
    headers,
  },
  {
    method: "get",
    path,
    id: "countFeedback",
    tag,
    summary: "How much was said of answers",
    description: "Of one model or alias, or of all that the key has tuned.",
    query: { model: { ...named.model, optional: true } },
    response: FeedbackCounts,
    example: { response: { object: "feedback.counts", total: counted, sources: [counted] } },
    errors: [400, 401, 403, 429, 500],
    headers,
  },
  {
    method: "delete",
    path,
    id: "deleteFeedback",
    tag,
    summary: "Delete what was said of answers",
    description: "All that was said under this name; files that were made of it stay.",
    query: named,
    response: DeletedFeedback,
    example: { response: { object: "feedback", model, deleted: 167 } },
    errors: [400, 401, 403, 429, 500],
    headers,
  },
  {
    method: "post",
    path: `${path}/export`,
    id: "exportFeedback",
    tag,
    summary: "Write corrections as a training file",
    description:
      "A file of the key, one example a line, which is checked as an upload is. Of an alias with those of its models.",
    request: ExportRequest,
    response: FileObject,
    example: {
      request: { model },
      response: {
        id: fileId,
        object: "file",
        bytes: 9_312,
        created_at: 1_764_336_000,
        filename: "feedback-mood.jsonl",
        purpose: "fine-tune",
        status: "uploaded",
      },
    },
    errors: [400, 401, 403, 408, 413, 415, 429, 500],
    headers,
  },
];
