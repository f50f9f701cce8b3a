/**
 * The table of tasks. A row makes a task exist: the queue message, the result, the worker's pipeline table and the
 * routes are typed from it, so a task that is added here does not compile until it is served.
 */
import * as z from "zod";
import { featureExtraction } from "./tasks/feature-extraction.ts";
import { noop } from "./tasks/noop.ts";
import { sentenceSimilarity } from "./tasks/sentence-similarity.ts";

export const tasks = {
  noop,
  "feature-extraction": featureExtraction,
  "sentence-similarity": sentenceSimilarity,
} as const;

export type Task = keyof typeof tasks;
export const Task = z.enum(Object.keys(tasks) as [Task, ...Task[]]);

export type TaskInput<T extends Task> = z.infer<(typeof tasks)[T]["input"]>;
export type TaskParameters<T extends Task> = z.infer<(typeof tasks)[T]["parameters"]>;
export type TaskOutput<T extends Task> = z.infer<(typeof tasks)[T]["output"]>;
