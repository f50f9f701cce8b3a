/**
 * What a training needs to go on after it was killed: its plan, how far it is, and every tensor that a step changes.
 * Written beside what was saved before, which is removed only when the new state is whole.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { MetricsStep } from "#contract/training/evaluation-report.ts";
import { readNote, readText } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { type TensorToWrite, writeSafetensors } from "../weights/safetensors-writer.ts";
import { Evaluations, Slowed, TrainingPlan } from "./training-plan.ts";

export const Progress = z.object({
  /** Steps taken. */
  step: z.int().nonnegative(),
  /** At which its schedule ends, once it is known how many end in time; null: as yet unknown. */
  steps: z.int().positive().nullable().default(null),
  /** Null: as the plan has them. */
  evaluations: Evaluations.nullable().default(null),
  /** Null: its steps take as long as it seemed. */
  slowed: Slowed.nullable().default(null),
  /** Of this run and those before it that it goes on from. */
  seconds: z.number().nonnegative(),
  /** Each step that was logged. */
  metrics: z.array(MetricsStep),
  /** The evaluation with the best score so far, which is better the higher it is. */
  best: z.object({ step: z.int(), score: z.number(), loss: z.number() }).nullable(),
  /** Evaluations since. */
  withoutGain: z.int().nonnegative(),
});
export type Progress = z.infer<typeof Progress>;

export type Tensors = ReadonlyMap<string, Tensor>;

export type TrainingState = {
  readonly progress: Progress;
  /** All that steps change: parameters and the optimizer's states. */
  readonly tensors: Tensors;
  /** Parameters at the best evaluation; null: there was none. */
  readonly best: Tensors | null;
};

const StateFile = z.object({
  version: z.literal(2),
  /** Of all that decides the result: see who asks. */
  fingerprint: z.string(),
  plan: TrainingPlan,
  progress: Progress,
  tensors: z.string(),
  best: z.string().nullable(),
});

const stateName = "state.json";
const tensorFile = /^(?:tensors|best)-\d+\.safetensors$/;

/** As they are written to a file. */
export function listTensors(tensors: Tensors): TensorToWrite[] {
  return [...tensors].map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    load: () => data,
  }));
}

async function writeTensors(folder: string, name: string, tensors: Tensors): Promise<void> {
  await writeSafetensors(path.join(folder, name), listTensors(tensors));
}

function readTensors(folder: string, name: string): Tensors {
  const source = openSafetensors(path.join(folder, name));
  try {
    return new Map(source.names().map((tensor) => [tensor, source.read(tensor)]));
  } finally {
    source.close();
  }
}

export type SavedTraining = TrainingState & { readonly plan: TrainingPlan };

/** A kill at any moment leaves the state before or this one. */
export async function saveTraining(
  folder: string,
  { plan, progress, tensors, best }: SavedTraining,
  fingerprint: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = {
    tensors: `tensors-${progress.step}.safetensors`,
    best: progress.best === null ? null : `best-${progress.best.step}.safetensors`,
  };
  const before = await readdir(folder);
  const found = await readNote(path.join(folder, stateName), StateFile);
  const known = found?.fingerprint === fingerprint ? found : null;
  // What is named is whole, and the same: a training has one state at each step. Other files may be half written.
  if (known?.tensors !== names.tensors) await writeTensors(folder, names.tensors, tensors);
  if (names.best !== null && best !== null && known?.best !== names.best) {
    await writeTensors(folder, names.best, best);
  }
  const state = { version: 2, fingerprint, plan, progress, ...names } as const;
  await writeAtomically(path.join(folder, stateName), JSON.stringify(state));
  const isOld = (name: string) => name !== names.tensors && name !== names.best;
  for (const name of before) {
    if (tensorFile.test(name) && isOld(name)) await rm(path.join(folder, name));
  }
}

/** A state from which this training cannot go on. */
export class ForeignStateError extends Error {}

/**
 * Null where there is none.
 * @throws ForeignStateError where it is that of another training, or of another version of this platform
 */
export async function readTraining(
  folder: string,
  fingerprint: string,
): Promise<SavedTraining | null> {
  if ((await readText(folder, stateName)) === null) return null;
  const state = await readNote(path.join(folder, stateName), StateFile);
  if (state?.fingerprint !== fingerprint) {
    const whose = state === null ? "of another version" : "of another training";
    throw new ForeignStateError(
      `${folder} holds the state ${whose}: remove it, or choose another --out`,
    );
  }
  const { plan, progress } = state;
  return {
    plan,
    progress,
    tensors: readTensors(folder, state.tensors),
    best: state.best === null ? null : readTensors(folder, state.best),
  };
}
