/**
 * The forms that a decoder is computed in. What a form rounds it rounds for each token by itself: a text's answer never
 * depends on what shares its batch.
 */

/**
 * - `f32`: as the checkpoint says.
 * - `f16`: products, keys and values in half precision, sums in f32.
 * - `int8`: weights in 8-bit blocks, what they multiply rounded to 8 bits in blocks too.
 * - `int8-rotated`: in 8 bits after rotations, by which products need one scale for each row and each token alone.
 * - `int4`: as int8, but weights that the checkpoint stores in 4-bit blocks stay as they are stored.
 */
export type DecoderForm = "f32" | "f16" | "int8" | "int8-rotated" | "int4";

/**
 * What keys and values of earlier tokens are kept in: `float`, as the form computes them, or `int8`, in a quarter of
 * the memory on a CPU (see kept-reach.ts).
 */
export type KvCacheForm = "float" | "int8";

/**
 * What a base's adapters are computed beside in its form: their factors are of the hidden state as the checkpoint has
 * it.
 */
export function adapterForm(form: DecoderForm): DecoderForm {
  return form === "int8-rotated" ? "int8" : form;
}

/** How a decoder is computed. */
export type DecoderComputing = { readonly form: DecoderForm; readonly kvCache: KvCacheForm };

/** Element type of keys and values, where they are not kept in int8. */
export type Kept = "float32" | "float16";

type FormNeeds = {
  /** Where it is meant to be computed. */
  readonly provider: "cpu" | "cuda";
  readonly kept: Kept;
  /** What is multiplied is rounded to 8 bits: in two orders a sum may come to two steps. */
  readonly rounds: boolean;
  /** Computes with rotated-weights.ts, which not every architecture can be given. */
  readonly rotated: boolean;
};

/** GroupQueryAttention takes f16 alone on CUDA; blocks are what the CPU is fast at. */
export const decoderForms: Readonly<Record<DecoderForm, FormNeeds>> = {
  f32: { provider: "cpu", kept: "float32", rounds: false, rotated: false },
  f16: { provider: "cuda", kept: "float16", rounds: false, rotated: false },
  int8: { provider: "cpu", kept: "float32", rounds: true, rotated: false },
  "int8-rotated": { provider: "cpu", kept: "float32", rounds: true, rotated: true },
  int4: { provider: "cpu", kept: "float32", rounds: true, rotated: false },
};
