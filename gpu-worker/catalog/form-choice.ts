/**
 * Which form models are computed in here, f32 or int8: pinned by the operator, or the one that a short measurement on this
 * machine found faster. The measurement is kept in `STATE/calibration.json` by processor, threads and runtime version,
 * because machines differ: with VNNI int8 is about three times faster than f32, without it slower.
 */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import path from "node:path";
import * as z from "zod";
import type { ComputeForm } from "./loaded-model.ts";
import { writeAtomically } from "./write-atomically.ts";

/** As LLM_OS_FORM. */
export type FormSetting = ComputeForm | "auto";

/** The time of the same product in each form, int8 with the quantisation of its activations. Any unit. */
export type FormTimes = { f32: number; int8: number };

export type FormChoice = {
  /** @throws the signal's reason */
  choose(signal: AbortSignal): Promise<ComputeForm>;
};

export type FormChoiceOptions = {
  setting: FormSetting;
  stateFolder: string;
  /** What the measurement depends on, beside the processor. */
  conditions: readonly string[];
  measure: (signal: AbortSignal) => Promise<FormTimes>;
  log: {
    info: (fields: object, message: string) => void;
    warn: (fields: object, message: string) => void;
  };
};

/** int8 costs accuracy, so it must be this much faster to be worth it. */
const worthwhileSpeedup = 1.2;

const Times = z.object({ f32: z.number().positive(), int8: z.number().positive() });
const CalibrationFile = z.record(z.string(), Times);
type Calibrations = z.infer<typeof CalibrationFile>;

export function fasterForm({ f32, int8 }: FormTimes): ComputeForm {
  return f32 / int8 >= worthwhileSpeedup ? "int8" : "f32";
}

async function readCalibrations(file: string): Promise<Calibrations> {
  try {
    return CalibrationFile.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    // Not measured yet, or damaged: measuring again takes less than a second.
    return {};
  }
}

export function openFormChoice(options: FormChoiceOptions): FormChoice {
  const { setting, stateFolder, conditions, measure, log } = options;
  const file = path.join(stateFolder, "calibration.json");
  const key = [cpus()[0]?.model.trim() ?? "unknown processor", ...conditions].join(", ");
  let times: FormTimes | null = null;

  async function timesHere(signal: AbortSignal): Promise<FormTimes> {
    const kept = (await readCalibrations(file))[key];
    if (kept !== undefined) return kept;
    const measured = await measure(signal);
    log.info({ machine: key, ...measured }, "measured which form is faster here");
    const all = await readCalibrations(file);
    await writeAtomically(file, `${JSON.stringify({ ...all, [key]: measured }, null, 2)}\n`);
    return measured;
  }

  return {
    async choose(signal) {
      if (setting !== "auto") return setting;
      times ??= await timesHere(signal).catch((error: unknown) => {
        signal.throwIfAborted();
        log.warn({ error }, "the forms could not be measured, so f32 is used");
        return { f32: 1, int8: 1 };
      });
      return fasterForm(times);
    },
  };
}
