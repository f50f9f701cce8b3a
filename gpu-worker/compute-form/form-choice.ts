/**
 * Which form models are computed in here, f32 or int8: pinned by the operator, or the one that a short measurement on
 * this machine found faster. The measurement is kept in `STATE/calibration.json` by processor, threads and runtime
 * version, because machines differ: with VNNI int8 products are about three times faster than f32, without it slower.
 */
import path from "node:path";
import * as z from "zod";
import type { DecoderForm } from "../architectures/decoder-form.ts";
import type { ComputeForm } from "../architectures/encoder-head.ts";
import { SharedTask } from "../event-loop/shared-task.ts";
import { JsonStore } from "../files/json-store.ts";

/** LLM_OS_FORM names a form that is not computed on this machine; the message says which ones are. */
export class FormError extends Error {
  override readonly name = "FormError";
}

/** As LLM_OS_FORM. */
export type FormSetting = ComputeForm | DecoderForm | "auto";

export const Calibration = z.object({
  /** 10⁹ operations a second in products of an encoder's size. */
  f32: z.number().positive(),
  int8: z.number().positive(),
  /** Whether u8×s8 products come out wrong, so that weights are shifted to u8. */
  saturates: z.boolean(),
});
export type Calibration = z.infer<typeof Calibration>;

export type Form = { form: ComputeForm; saturates: boolean };

export type FormChoice = {
  /** Whether the operator has said which; otherwise a model is int8 only where that is accurate enough. */
  readonly pinned: boolean;
  /** What is faster here, or pinned. */
  /** @throws the signal's reason */
  choose(signal: AbortSignal): Promise<Form>;
};

export type FormChoiceOptions = {
  setting: FormSetting;
  stateFolder: string;
  /** Machines of one name measure alike. */
  machine: string;
  measure: (signal: AbortSignal) => Promise<Calibration>;
  log: {
    info: (fields: object, message: string) => void;
    warn: (fields: object, message: string) => void;
  };
};

/**
 * Products are not all of an encoder, and int8 adds the rounding of activations: its products must be this much faster
 * for the whole to gain enough to be worth the accuracy.
 */
const worthwhileSpeedup = 1.6;

export function fasterForm({ f32, int8 }: Pick<Calibration, "f32" | "int8">): ComputeForm {
  return int8 / f32 >= worthwhileSpeedup ? "int8" : "f32";
}

/**
 * On a GPU: f16 where a model is accurate in it. Nothing is measured for it: CUDA 13 runs on Turing and later alone,
 * all of which multiply f16 at least twice as fast as f32 or TF32. @throws FormError for int8, which CUDA has no
 * kernels for
 */
export function deviceFormChoice(setting: FormSetting): FormChoice {
  if (setting !== "auto" && setting !== "f32" && setting !== "f16") {
    throw new FormError(
      `LLM_OS_FORM is ${setting}, but a GPU computes in f16 or f32: set one, or auto`,
    );
  }
  const form = setting === "f32" ? "f32" : "f16";
  return { pinned: setting !== "auto", choose: async () => ({ form, saturates: false }) };
}

/** @throws FormError for f16, which a CPU computes slower than f32 */
export function openFormChoice(options: FormChoiceOptions): FormChoice {
  if (options.setting === "f16") {
    throw new FormError("LLM_OS_FORM is f16, but a CPU computes in f32 or int8: set one, or auto");
  }
  const { setting, stateFolder, machine, measure, log } = options;
  // Measuring again takes less than a second.
  const store = new JsonStore(path.join(stateFolder, "calibration.json"), Calibration);
  let measuring: SharedTask<Calibration> | null = null;

  async function calibrate(signal: AbortSignal): Promise<Calibration> {
    const kept = await store.find(machine);
    if (kept !== null) return kept;
    const measured = await measure(signal);
    log.info({ machine, ...measured, form: fasterForm(measured) }, "measured which form is faster");
    await store.keep(machine, measured);
    return measured;
  }

  /** Measured once however many models are loaded at the same time: side by side they would slow each other down. */
  async function calibration(signal: AbortSignal): Promise<Calibration> {
    if (measuring === null || measuring.givenUp) measuring = new SharedTask(calibrate);
    try {
      return await measuring.join(signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ error }, "the forms could not be measured");
      return { f32: 1, int8: 1, saturates: true };
    }
  }

  return {
    pinned: setting !== "auto",
    async choose(signal) {
      if (setting === "f32") return { form: "f32", saturates: false };
      const measured = await calibration(signal);
      // Of encoders int8 is the narrowest that is built.
      const form = setting === "auto" ? fasterForm(measured) : "int8";
      return { form, saturates: measured.saturates };
    },
  };
}
