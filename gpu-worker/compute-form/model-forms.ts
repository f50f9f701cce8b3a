/**
 * Which form one model is computed in: the one that is faster here, where the model answers in it nearly as in f32.
 * That is measured when the model is first loaded.
 */
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import type { Session } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Form, FormChoice } from "./form-choice.ts";
import {
  type Int8Figures,
  isAccurate,
  type KeptFigures,
  measureAccuracy,
} from "./int8-accuracy.ts";

export type ModelFormsOptions = {
  choice: FormChoice;
  figures: KeptFigures;
  /** Of what builds the graphs: figures hold for its graphs alone. */
  builderVersion: number;
  log: {
    info: (fields: object, message: string) => void;
    warn: (fields: object, message: string) => void;
  };
};

export type MeasuredModel = {
  id: string;
  checkpoint: Checkpoint;
  files: FilesDigest;
  tokenizer: Tokenizer;
  open(form: Form): Promise<Session>;
  /** Told of the form that turned out to be of no use. */
  discard(form: Form): Promise<void>;
};

export class ModelForms {
  readonly #options: ModelFormsOptions;

  constructor(options: ModelFormsOptions) {
    this.#options = options;
  }

  /** The faster one here. A ready-made file has no form to choose. @throws the signal's reason */
  async faster({ format }: Pick<FilesDigest, "format">, signal: AbortSignal): Promise<Form> {
    if (format === "onnx") return { form: "f32", saturates: false };
    return this.#options.choice.choose(signal);
  }

  /** Null: a reduced form is faster, and whether it is accurate enough has not been measured. */
  async known(files: FilesDigest, signal: AbortSignal): Promise<Form | null> {
    const { choice, figures } = this.#options;
    const form = await this.faster(files, signal);
    if (form.form === "f32" || choice.pinned) return form;
    // What ships with its figures was measured in int8.
    const shipped = form.form === "int8" ? files.weights : "";
    const kept = await figures.find(shipped, this.#figuresKey(files, form));
    return kept === null ? null : accepted(form, kept);
  }

  /**
   * Compares the faster form with f32. The safe form where nothing can be measured: a checkpoint that cannot be served
   * fails in it too, and says why. @throws the signal's reason
   */
  async measure(model: MeasuredModel, signal: AbortSignal): Promise<Form> {
    try {
      return await this.#measure(model, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#options.log.warn(
        { error, model: model.id },
        "the model's accuracy in a reduced form could not be measured",
      );
      return { form: "f32", saturates: false };
    }
  }

  async #measure(model: MeasuredModel, signal: AbortSignal): Promise<Form> {
    const { id, checkpoint, files, tokenizer } = model;
    const { figures, log } = this.#options;
    const reduced = await this.faster(files, signal);
    const f32: Form = { ...reduced, form: "f32" };
    const { head, sentence, limits } = checkpoint;
    const compared = { head, isSentence: sentence !== null, maxTokens: limits.maxTokens };
    const forms = { f32: () => model.open(f32), int8: () => model.open(reduced) };
    const measured = await measureAccuracy(forms, { compared, tokenizer, signal });
    await figures.keep(this.#figuresKey(files, reduced), measured);
    const form = accepted(reduced, measured);
    const words = form === reduced ? "accurate enough" : "too inaccurate: f32 is used";
    log.info({ model: id, ...measured }, `the model in ${reduced.form} is ${words}`);
    await model.discard(form === reduced ? f32 : reduced);
    return form;
  }

  /** By all that shapes the answers, since a folder may pool the same weights in another way. */
  #figuresKey({ files }: FilesDigest, { form, saturates }: Form): string {
    const half = form === "f16" ? "-f16" : "";
    return `${files}${half}${saturates ? "-shifted" : ""}-${this.#options.builderVersion}`;
  }
}

function accepted(reduced: Form, figures: Int8Figures): Form {
  if (reduced.form === "f32") return reduced;
  return isAccurate(figures, reduced.form) ? reduced : { ...reduced, form: "f32" };
}
