/** What the keys and values of texts take of memory, and how many tokens' are kept at a time. Pure. */
import type { KeyValueShape } from "../model/decoder-model.ts";

/** Of f32, a key and a value. */
const bytesPerNumber = 2 * Float32Array.BYTES_PER_ELEMENT;

/** Of the bound on all models: what is left of it is for the weights, and for other models. */
const share = 1 / 4;

/** More texts of full length are hardly ever there at a time. */
const longestTexts = 4;

export function keyValueBytes({ layers, heads, width }: KeyValueShape): number {
  return layers * heads * width * bytesPerNumber;
}

/**
 * @param maxTokens of a text: so many are kept at least
 * @param modelsMemory bytes that all models may take
 */
export function keyValueTokens(
  shape: KeyValueShape,
  maxTokens: number,
  modelsMemory: number,
): number {
  const affordable = Math.floor((share * modelsMemory) / keyValueBytes(shape));
  return Math.min(longestTexts * maxTokens, Math.max(maxTokens, affordable));
}
