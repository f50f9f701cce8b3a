/**
 * `npm run model -- hold-out`: parts files of labelled texts into one that trains and one that judges, as fit-head does
 * (fit/hold-out.ts): for data that has sentences and their phrases side by side, which `tune` would divide as if they
 * had nothing in common.
 */
import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { holdOut, usualHoldOut } from "../fit/hold-out.ts";
import type { FieldNames, LabelledText } from "../fit/labelled-texts.ts";
import { readLabelledFiles } from "./labelled-files.ts";

export type HoldOutCommand = {
  /** JSON Lines. */
  data: readonly string[];
  /** Files that are written. */
  training: string;
  heldOut: string;
  names: FieldNames;
  /** Whether files that are there may be written over. */
  force: boolean;
};

/** @throws Error that says what is wrong with the data or a file, and what to do */
export async function runHoldOut(
  { data, training, heldOut, names, force }: HoldOutCommand,
  say: (line: string) => void,
): Promise<void> {
  const outs = [training, heldOut].map((file) => path.resolve(file));
  if (outs[0] === outs[1]) throw new Error("--training and --held-out name the same file");
  if (!force) for (const file of [training, heldOut]) await expectNew(file);
  const { rows } = await readLabelledFiles(data, names);
  const split = holdOut(
    rows.map(({ text }) => text),
    usualHoldOut,
  );
  const parts = [split.training, split.heldOut] as const;
  if (parts.some(({ length }) => length === 0)) {
    throw new Error(
      `${data.join(", ")}: of ${rows.length} texts none is left to train or to judge`,
    );
  }
  await writeRows(training, rows, split.training);
  await writeRows(heldOut, rows, split.heldOut);
  const unused = rows.length - split.training.length - split.heldOut.length;
  say(
    `${rows.length} texts: ${split.heldOut.length} whole ones held out, ${unused} left out that are part of those`,
  );
  for (const file of outs) say(file);
}

async function expectNew(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found === null) return;
  throw new Error(`${file} is there already: name another file, or write over it with --force`);
}

async function writeRows(
  file: string,
  rows: readonly LabelledText[],
  indices: readonly number[],
): Promise<void> {
  const lines = indices.flatMap((at) => (rows[at] === undefined ? [] : [JSON.stringify(rows[at])]));
  await writeFile(file, `${lines.join("\n")}\n`);
}
