/** What memory the keys and values of all texts may take. Pure. */
import type { KvCacheForm } from "../architectures/decoder-form.ts";
import type { KeyValueShape } from "../model/decoder-model.ts";

/** Of a number: in f32, which f16 is counted as too, or in int8. */
const numberBytes: Readonly<Record<KvCacheForm, number>> = { float: 4, int8: 1 };

/** Of the bound on all models: what is left of it is for the weights, and for other models. */
const share = 1 / 4;

/** More texts of full length are hardly ever there at a time. */
const longestTexts = 4;

/** What is kept, and how. */
export type KvCache = { readonly shape: KeyValueShape; readonly kvCache: KvCacheForm };

/** A key and a value in each layer. */
function bytesPerToken({ shape: { layers, heads, width }, kvCache }: KvCache): number {
  return layers * heads * width * 2 * numberBytes[kvCache];
}

/**
 * @param maxTokens of a text: so many have room at least
 * @param modelsMemory bytes that all models may take
 */
export function keyValueBytes(cache: KvCache, maxTokens: number, modelsMemory: number): number {
  const text = maxTokens * bytesPerToken(cache);
  return Math.min(longestTexts * text, Math.max(text, Math.floor(share * modelsMemory)));
}
