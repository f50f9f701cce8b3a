/** Whether a folder has a tokenizer, told before its weights are read. */
import { access } from "node:fs/promises";
import path from "node:path";
import { readTokenizerFiles } from "../tokenizer/tokenizer-file.ts";

export async function hasTokenizerFile(folder: string): Promise<boolean> {
  return access(path.join(folder, "tokenizer.json")).then(
    () => true,
    () => false,
  );
}

/**
 * Reads the files of a bare vocabulary, which are small; a tokenizer.json may take a second, and is read with the
 * weights.
 * @throws Error that says what is missing
 */
export async function expectTokenizer(folder: string): Promise<void> {
  if (!(await hasTokenizerFile(folder))) await readTokenizerFiles(folder);
}
