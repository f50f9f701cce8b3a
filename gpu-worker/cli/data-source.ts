/** A training file of the disk as what reads data takes it. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { DataSource } from "../datasets/data-file.ts";

/** @throws Error that says why it cannot be read */
export async function expectFile(file: string): Promise<{ size: number }> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be read: ${error.code ?? error.message}`, { cause: error });
  });
  if (!found.isFile()) throw new Error(`${file} is no file`);
  return found;
}

/** @throws Error that says why the file cannot be read */
export async function openDataSource(
  file: string,
  signal: AbortSignal,
): Promise<DataSource & { size: number }> {
  const { size } = await expectFile(file);
  const bytes = createReadStream(file, { highWaterMark: 1 << 18, signal });
  return { name: path.basename(file), bytes, size };
}
