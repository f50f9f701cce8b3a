/**
 * What the contract says of one task, so that everything else follows: the queue message, the native route, the route
 * and bodies of Hugging Face's clients, the estimate of a job's cost and the published API. A task is one file of
 * `tasks/`.
 */
import type * as z from "zod";

/** What a model reads of an input: texts, token ids already, or what it will make so many tokens of. */
export type Readings = readonly (string | readonly number[] | { readonly tokens: number })[];

/**
 * How a text longer than the model is read: the last reading of an input is cut into windows, the others stand in each.
 */
export type WindowRules = {
  /** Tokens that neighbours share, as asked; never more than half of what a window takes of the text. */
  readonly shared: number;
  /** Tokens of a window. Absent: as many as the model reads. */
  readonly length?: number;
  /** Tokens that stand beside the text in each window, at most. */
  readonly besideMax?: number;
};

export type TaskDefinition<
  Input extends z.ZodType,
  Parameters extends z.ZodObject,
  Output extends z.ZodType,
> = {
  /** One line for the published API. */
  readonly summary: string;
  /** The platform's own: no route takes it from a caller. Absent: it is for callers. */
  readonly internal?: true;
  /** A call of a model, for the published API. */
  readonly example: TaskExample<z.infer<Input>, z.infer<Parameters>, z.infer<Output>>;
  /** One input, as the queue carries it and `POST /v1/tasks/{task}` takes it. */
  readonly input: Input;
  /** Strict: an unknown parameter is refused. */
  readonly parameters: Parameters;
  /** What a worker answers to one input. */
  readonly output: Output;
  /**
   * What of an input the model will read, each time it is read: a job's units are estimated from it before any
   * tokenizer. `vectors`: the model makes sentence vectors and compares them; any other reads pairs.
   */
  readonly reads: (
    input: z.infer<Input>,
    parameters: z.infer<Parameters>,
    vectors: boolean,
  ) => Readings;
  /** What of the parameters it will read once, however many inputs there are. Absent: nothing. */
  readonly readsOnce?: (parameters: z.infer<Parameters>, vectors: boolean) => Readings;
  /** Whether a text longer than the model's positions is read whole. Absent: never. */
  readonly readsInWindows?: (parameters: z.infer<Parameters>) => boolean;
  /**
   * Tokens that the model may make of one input, at most: charged as those it reads. Absent: none.
   * @param room tokens that a choice can have in this model
   */
  readonly makes?: (parameters: z.infer<Parameters>, room: number) => number;
  /** Whether the same call has the same result, so that it may be kept for the next one. Absent: always. */
  readonly repeats?: (parameters: z.infer<Parameters>) => boolean;
  /**
   * Whether another model than the request's own reads an input too: the one that the parameter `entity_model` names,
   * else the one that the model's own state names. Absent: never.
   */
  readonly readsEntities?: (input: z.infer<Input>) => boolean;
  /** By which windows such a text is read. Absent: no model runs. */
  readonly windows?: (parameters: z.infer<Parameters>) => WindowRules;
  /** Whether every model does it that makes sentence vectors. Absent: only those made for it. */
  readonly ofSentenceEncoders?: true;
  /** How Hugging Face's clients word the task; null: they have no form of it. */
  readonly huggingFace: HuggingFaceForm<Input> | null;
};

export type TaskExample<Input, Parameters, Output> = {
  readonly model: string;
  readonly input: Input;
  readonly parameters: Parameters;
  /** What a worker answers, and how many tokens it read. */
  readonly output: Output;
  readonly tokens: number;
  /** And made. Absent: none. */
  readonly made?: number;
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
  /** A body that can only be of this task, for `POST /hf/models/{id}`, an address without a task. */
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
