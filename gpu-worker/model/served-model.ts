/** A model that answers requests, of whichever kind; encoders alone are served yet. */
import type { EncoderModel } from "./encoder-model.ts";

export type ServedModel = EncoderModel;

/** A model in use: it stays in memory until it is released. */
export type ModelLease<Model extends ServedModel = ServedModel> = {
  readonly model: Model;
  release(): void;
};
