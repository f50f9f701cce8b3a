/** Reads a training file and reports what is in it. Asked for by the platform itself, once for each upload. */
import * as z from "zod";
import { ObjectReference } from "../object-reference.ts";
import { defineTask } from "../task.ts";
import { FileReport } from "../training/report.ts";

export const fileCheck = defineTask({
  summary: "Judge a training file",
  internal: true,
  example: {
    model: "file-check",
    input: {
      filename: "train.jsonl",
      reference: { key: "files/file-0", bytes: 460, sha256: "0".repeat(64) },
    },
    parameters: {},
    output: {
      container: "jsonl",
      form: "single-label",
      task: "text-classification",
      bytes: 460,
      examples: 10,
      bad_examples: 0,
      problems: [],
      problem_counts: {},
      repeats: { duplicates: 0, conflicts: 0, first_duplicates: [], first_conflicts: [] },
      labels: [
        { label: "positive", examples: 5 },
        { label: "negative", examples: 5 },
      ],
      characters: null,
      tokens: null,
      ignored_fields: [],
      notices: [],
    },
    tokens: 0,
  },
  input: z.object({ filename: z.string().max(255), reference: ObjectReference }),
  parameters: z.strictObject({}),
  output: FileReport,
  reads: () => [],
  huggingFace: null,
});
