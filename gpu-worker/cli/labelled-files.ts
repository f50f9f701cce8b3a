/** Files of labelled texts, one after the other, and what tells them apart from others of the same names. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type FieldNames, type LabelledText, readLabelledTexts } from "../fit/labelled-texts.ts";

export type LabelledFiles = {
  rows: LabelledText[];
  /** Name and sha256 of each. */
  files: { name: string; sha256: string }[];
};

/** @throws Error that names the file and each bad line */
export async function readLabelledFiles(
  names: readonly string[],
  fields: FieldNames,
): Promise<LabelledFiles> {
  const read: LabelledFiles = { rows: [], files: [] };
  for (const name of names) {
    const bytes = await readFile(name);
    try {
      read.rows.push(...readLabelledTexts(bytes.toString("utf8"), fields));
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    read.files.push({ name, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  return read;
}
