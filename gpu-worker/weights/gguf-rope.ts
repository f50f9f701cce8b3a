/**
 * A GGUF file's rotary embedding as `rope_parameters` of config.json. Linear and YaRN scaling stand in the metadata.
 * Llama 3's does not: its converter (convert_hf_to_gguf.py of llama.cpp) writes what it divides each frequency by as a
 * tensor, `rope_freqs.weight`, from which the fields are told here.
 */
import type { Hyperparameters } from "./gguf-hyperparameters.ts";
import { WeightError } from "./weight-source.ts";

export const ropeFactorsName = "rope_freqs.weight";

/** Where the metadata has none, as llama.cpp. */
const usualTheta = 10_000;
/** Of every model published with this scaling; the converter knows no other length. */
const llama3 = {
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
} as const;
/** The converter computes in float32. */
const tolerance = 1e-4;

/** What Llama 3 divides the frequency of each pair of features by. */
export function llama3Divisors(theta: number, width: number, factor: number): number[] {
  const { low_freq_factor: low, high_freq_factor: high } = llama3;
  return Array.from({ length: width / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * pair) / width);
    const waves = llama3.original_max_position_embeddings / wavelength;
    if (waves > high) return 1;
    if (waves < low) return factor;
    const smooth = (waves - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

function llama3Scaling(divisors: Float32Array, theta: number, width: number) {
  const factor = divisors.reduce((most, each) => Math.max(most, each), 0);
  const expected = llama3Divisors(theta, width, factor);
  const isSame =
    divisors.length === expected.length &&
    divisors.every((each, at) => Math.abs(each / (expected[at] ?? NaN) - 1) < tolerance);
  if (!isSame) {
    throw new WeightError(`tensor "${ropeFactorsName}" does not scale positions as Llama 3 does`);
  }
  return { rope_type: "llama3", factor, ...llama3 };
}

function scalingOf(sizes: Hyperparameters, family: string): Record<string, unknown> {
  const factor = sizes["rope.scaling.factor"] ?? sizes["rope.scale_linear"] ?? 0;
  // llama.cpp takes a factor without a type as linear.
  const type = sizes["rope.scaling.type"] ?? "linear";
  if (type !== "none" && type !== "linear" && type !== "yarn") {
    throw new WeightError(
      `"${family}.rope.scaling.type" is ${type}, only none, linear and yarn are read`,
    );
  }
  if (type === "none" || factor === 0) return { rope_type: "default" };
  if (type === "linear") return { rope_type: "linear", factor };
  const fields = {
    original_max_position_embeddings: sizes["rope.scaling.original_context_length"],
    attention_factor: sizes["rope.scaling.yarn_attn_factor"],
    beta_fast: sizes["rope.scaling.yarn_beta_fast"],
    beta_slow: sizes["rope.scaling.yarn_beta_slow"],
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { rope_type: "yarn", factor, ...Object.fromEntries(given) };
}

export type RopeSources = {
  readonly family: string;
  readonly sizes: Hyperparameters;
  /** `rope_freqs.weight`; null: there is none. */
  readonly divisors: Float32Array | null;
  /** Features of a head. */
  readonly width: number;
};

/** Of layers that see all tokens. */
export function ropeOf({ family, sizes, divisors, width }: RopeSources): Record<string, unknown> {
  const turned = sizes["rope.dimension_count"] ?? width;
  if (turned !== width) {
    throw new WeightError(
      `"${family}.rope.dimension_count" is ${turned} of ${width}: heads turned in part are not read`,
    );
  }
  const theta = sizes["rope.freq_base"] ?? usualTheta;
  const scaling =
    divisors === null ? scalingOf(sizes, family) : llama3Scaling(divisors, theta, width);
  return { ...scaling, rope_theta: theta };
}
