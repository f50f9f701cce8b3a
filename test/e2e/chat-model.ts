/**
 * The model that chats are held with: SmolLM2 where it is on this machine, else a decoder of a few kilobytes that knows
 * the words w3, w4 …
 */
import { existsSync, symlinkSync } from "node:fs";
import path from "node:path";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";

const smollm2 = "SmolLM2-135M-Instruct";
const folder = path.resolve(import.meta.dirname, "../../../shared/models", smollm2);
export const isLarge = existsSync(folder);
if (!isLarge) console.info(`Skipped: chats with ${smollm2}, which is not on this machine`);

export const tinyWriter = "tiny-llama";
export const model = isLarge ? smollm2 : tinyWriter;

/** @param models the folder that the worker serves models of */
export async function placeModel(models: string): Promise<void> {
  const at = path.join(models, model);
  if (isLarge) symlinkSync(folder, at);
  else await writeTinyDecoder(at);
}
