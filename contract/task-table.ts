/**
 * The contract's table of tasks, typed so that code may be generic over a task: `taskTable[task]` takes the inputs and
 * gives the outputs of that very task. The edge knows no task by name but for the few that this file and rendering.ts
 * list.
 */
import type * as z from "zod";
import type { HuggingFaceForm, Readings, TaskExample, WindowRules } from "./task.ts";
import { type Task, type TaskInput, type TaskOutput, type TaskParameters, tasks } from "./tasks.ts";

export type TaskRow<T extends Task> = {
  readonly summary: string;
  readonly internal?: true;
  readonly example: TaskExample<TaskInput<T>, TaskParameters<T>, TaskOutput<T>>;
  readonly input: z.ZodType<TaskInput<T>>;
  readonly parameters: z.ZodType<TaskParameters<T>> & z.ZodObject;
  readonly output: z.ZodType<TaskOutput<T>>;
  readonly reads: (
    input: TaskInput<T>,
    parameters: TaskParameters<T>,
    vectors: boolean,
  ) => Readings;
  readonly readsOnce?: (parameters: TaskParameters<T>, vectors: boolean) => Readings;
  readonly makes?: (parameters: TaskParameters<T>, room: number) => number;
  readonly repeats?: (parameters: TaskParameters<T>) => boolean;
  readonly readsInWindows?: (parameters: TaskParameters<T>) => boolean;
  readonly readsEntities?: (input: TaskInput<T>) => boolean;
  readonly windows?: (parameters: TaskParameters<T>) => WindowRules;
  readonly huggingFace: HuggingFaceForm<z.ZodType<TaskInput<T>>> | null;
};

export const taskTable: { readonly [T in Task]: TaskRow<T> } = tasks;

/** Those of callers, in the order of the table. */
export const taskNames: readonly CallerTask[] = Object.keys(tasks).filter(isTask);

/** Those that anybody may call; `noop` is the operator's. */
export const publishedTasks = taskNames.filter((task) => task !== "noop");

/** Hugging Face's clients have a form of these. */
export const huggingFaceTasks = taskNames.filter((task) => taskTable[task].huggingFace !== null);

/** What every model does that reads text, whatever its own list says, and what none is chosen for. */
const ofEveryModel: readonly Task[] = ["tokenize", "detokenize"];

/** A task that callers name. */
export type CallerTask = Exclude<
  Task,
  "augmentation" | "file-check" | "load-model" | "prompt-evaluation" | "tuning-plan"
>;

/** Whether a caller may mean it. */
export function isTask(name: string): name is CallerTask {
  return Object.hasOwn(tasks, name) && taskTable[name as Task].internal !== true;
}

/** What a model must do to be asked for a task, one of these: the task, but where it is made of others' answers. */
export function tasksOfModels(task: Task): readonly Task[] {
  if (task === "prompt-evaluation") return ["chat-completion"];
  return task === "augmentation" ? ["text-classification", "zero-shot-classification"] : [task];
}

export function isOfEveryModel(task: Task): boolean {
  return ofEveryModel.includes(task);
}
