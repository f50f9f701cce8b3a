/**
 * JSON files, parsed by a schema: those that others wrote, whose damage is told, and our own notes, which can be made
 * again.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";

/** Null where there is no such file. */
export async function readText(folder: string, name: string): Promise<string | null> {
  try {
    return await readFile(path.join(folder, name), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Null where there is no such file. @throws where it is damaged, naming it */
export async function readJson<T>(
  folder: string,
  name: string,
  schema: z.ZodType<T>,
): Promise<T | null> {
  const text = await readText(folder, name);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${name} cannot be used: ${why}`, { cause: error });
  }
}

/** What we wrote ourselves. Null where it is missing, unreadable or damaged: whoever asks makes it again. */
export async function readNote<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return null;
  }
}
