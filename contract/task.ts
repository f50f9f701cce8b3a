/**
 * What the contract says of one task, so that everything else follows: the queue message, the native route, the route and
 * bodies of Hugging Face's clients, the estimate of a job's cost and the published API. A task is one file of `tasks/`.
 */
import type * as z from "zod";

/** What a model reads of an input: texts, or token ids already. */
export type Readings = readonly (string | readonly number[])[];

export type TaskDefinition<
  Input extends z.ZodType,
  Parameters extends z.ZodObject,
  Output extends z.ZodType,
> = {
  /** One line for the published API. */
  readonly summary: string;
  /** One input, as the queue carries it and `POST /v1/tasks/{task}` takes it. */
  readonly input: Input;
  /** Strict: an unknown parameter is refused. */
  readonly parameters: Parameters;
  /** What a worker answers to one input. */
  readonly output: Output;
  /** What of an input the model will read, however often: a job's units are estimated from it before any tokenizer. */
  readonly reads: (input: z.infer<Input>, parameters: z.infer<Parameters>) => Readings;
  /** Whether a text longer than the model's positions is read whole, window by window. Absent: never. */
  readonly readsInWindows?: (parameters: z.infer<Parameters>) => boolean;
  /** Whether every model does it that makes sentence vectors. Absent: only those made for it. */
  readonly ofSentenceEncoders?: true;
  /** How Hugging Face's clients word the task; null: they have no form of it. */
  readonly huggingFace: HuggingFaceForm<Input> | null;
};

export type HuggingFaceForm<Input extends z.ZodType> = {
  /** One input where it is not all that the native route takes. */
  readonly input?: z.ZodType<z.infer<Input>>;
  /** Whether the parameters stand beside `inputs` instead of under `parameters`. */
  readonly flat?: true;
  /** Fields of their schema that nothing is done with: checked, accepted and named in `x-warnings`. */
  readonly unused?: z.ZodObject;
  /**
   * Whether the answer to a call that gave one input and no array is a list with the output in it. Default: it is the
   * output. Where outputs are lists of several kinds, the first item tells.
   */
  readonly listsOne?: (firstItem: unknown) => boolean;
  /** A body that can only be of this task, for `POST /hf/models/{id}`, whose address names none. */
  readonly recognise?: z.ZodType;
};

/** Checks a definition and keeps its types. */
export function defineTask<
  Input extends z.ZodType,
  Parameters extends z.ZodObject,
  Output extends z.ZodType,
>(
  definition: TaskDefinition<Input, Parameters, Output>,
): TaskDefinition<Input, Parameters, Output> {
  return definition;
}
