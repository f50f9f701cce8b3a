/** A model that answers requests, of whichever kind, and what it takes to ask one for a task. */
import { CodedError } from "#contract/errors.ts";
import type { Task } from "#contract/tasks.ts";
import type { DecoderModel } from "./decoder-model.ts";
import type { EncoderModel } from "./encoder-model.ts";

export type ServedModel = EncoderModel | DecoderModel;

/** What turns texts into ids and back, of a model of any kind. */
export type TextModel = Pick<ServedModel, "id" | "tokenizer" | "limits">;

/** A model in use: it stays in memory until it is released. */
export type ModelLease<Model extends ServedModel = ServedModel> = {
  readonly model: Model;
  release(): void;
};

type OfKind<Model extends ServedModel, Kind> = Extract<Model, { readonly kind: Kind }>;

function isEncoder<Model extends ServedModel>(model: Model): model is OfKind<Model, "encoder"> {
  return model.kind === "encoder";
}

/** @throws CodedError for a model of another kind than the task's */
export function encoderFor<Model extends ServedModel>(
  task: Task,
  model: Model,
): OfKind<Model, "encoder"> {
  if (isEncoder(model)) return model;
  throw doesNotDo(task, model);
}

/** @throws CodedError for a model of another kind than the task's */
export function decoderFor(task: Task, model: ServedModel): DecoderModel {
  if (model.kind === "decoder") return model;
  throw doesNotDo(task, model);
}

/** As the edge words it, which lets no such request pass once it knows the model's tasks. */
function doesNotDo(task: Task, { id, tasks }: ServedModel): CodedError {
  return new CodedError(
    "invalid_value",
    `${id} does not do ${task}. It does ${tasks.join(", ")}: use one of these, or another model.`,
    { param: "model" },
  );
}
