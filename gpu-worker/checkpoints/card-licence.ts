import { readFile } from "node:fs/promises";
import path from "node:path";

/** The `license:` line of a model card. */
export async function readCardLicence(folder: string): Promise<string | null> {
  const card = await readFile(path.join(folder, "README.md"), "utf8").catch(() => "");
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1] ?? "";
  return /^license:\s*["']?([\w.-]{1,100})["']?\s*$/m.exec(front)?.[1] ?? null;
}
