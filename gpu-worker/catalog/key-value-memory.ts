/** What memory the keys and values of all texts may take. Pure. */
import type { KeyValueShape } from "../model/decoder-model.ts";

/** Of f32, a key and a value. */
const bytesPerNumber = 2 * Float32Array.BYTES_PER_ELEMENT;

/** Of the bound on all models: what is left of it is for the weights, and for other models. */
const share = 1 / 4;

/** More texts of full length are hardly ever there at a time. */
const longestTexts = 4;

function bytesPerToken({ layers, heads, width }: KeyValueShape): number {
  return layers * heads * width * bytesPerNumber;
}

/**
 * @param maxTokens of a text: so many have room at least
 * @param modelsMemory bytes that all models may take
 */
export function keyValueBytes(
  shape: KeyValueShape,
  maxTokens: number,
  modelsMemory: number,
): number {
  const text = maxTokens * bytesPerToken(shape);
  return Math.min(longestTexts * text, Math.max(text, Math.floor(share * modelsMemory)));
}
