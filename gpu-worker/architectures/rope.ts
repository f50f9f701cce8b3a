/**
 * Rotary position embeddings (Su et al., https://arxiv.org/abs/2104.09864): each pair of a head's features is turned by
 * an angle that grows with the token's position. What lets a text be longer than those a model was trained on changes
 * the angles: evenly (linear), by their wavelength (llama3), or between the two with a factor of the result (YaRN,
 * Peng et al., https://arxiv.org/abs/2309.00071). As transformers' modeling_rope_utils.py.
 *
 * Two forms of config.json say so: `rope_parameters`, and the older `rope_theta` with `rope_scaling`.
 */
import * as z from "zod";
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { nothingBut } from "./config-fields.ts";
import { ConfigError } from "./parse-config.ts";

export type Rope = {
  /** Radians per position, of each pair of features. */
  readonly frequencies: readonly number[];
  /** Factor of the turned features. */
  readonly gain: number;
  /** Positions that these frequencies are right for; null: all. */
  readonly reach: number | null;
};

/** What else a rope depends on. */
type Sizes = {
  /** Features of a head. */
  readonly width: number;
  /** `max_position_embeddings`. */
  readonly positions: number;
  /** `original_max_position_embeddings` beside the rope's parameters, which then counts more than theirs. */
  readonly original?: number | null | undefined;
};

const positive = z.number().positive();
const common = {
  rope_theta: positive.nullish(),
  partial_rotary_factor: nothingBut(1),
};
/** Tokens of the longest text before the model was stretched; missing: as many as it has positions. */
const original_max_position_embeddings = positive.nullish();

const Default = z.looseObject({ ...common, rope_type: z.literal("default") });
/** Stretched as far as a text needs: up to the model's positions it is the default, and longer texts are refused. */
const Dynamic = z.looseObject({ ...common, rope_type: z.literal("dynamic") });
const Linear = z.looseObject({ ...common, rope_type: z.literal("linear"), factor: positive });
const Llama3 = z.looseObject({
  ...common,
  rope_type: z.literal("llama3"),
  factor: positive,
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings,
});
const Yarn = z.looseObject({
  ...common,
  rope_type: z.literal("yarn"),
  /** Missing: positions / original_max_position_embeddings. */
  factor: positive.nullish(),
  original_max_position_embeddings,
  attention_factor: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  truncate: z.boolean().nullish(),
});
const kinds = [Default, Linear, Dynamic, Llama3, Yarn] as const;
const kindNames = kinds.map((kind) => kind.shape.rope_type.value).join(", ");

/** Its older name is `type`; without either it is the default. */
function withType(given: unknown): unknown {
  const named = z.looseObject({ rope_type: z.string().nullish(), type: z.string().nullish() });
  const { success, data } = named.safeParse(given);
  return success ? { ...data, rope_type: data.rope_type ?? data.type ?? "default" } : given;
}

export const RopeParameters = z.preprocess(
  withType,
  z.discriminatedUnion("rope_type", kinds, {
    error: ({ input }) => {
      const type = z.looseObject({ rope_type: z.string() }).safeParse(input).data?.rope_type;
      return type === undefined ? undefined : `${type} is not built, only ${kindNames}`;
    },
  }),
);
export type RopeParameters = z.infer<typeof RopeParameters>;

/** Both forms, for a family whose layers all have one rope. */
export const ropeFields = {
  rope_theta: positive.nullish(),
  rope_scaling: RopeParameters.nullish(),
  rope_parameters: RopeParameters.nullish(),
  partial_rotary_factor: nothingBut(1),
  original_max_position_embeddings,
};
export type RopeFile = z.infer<z.ZodObject<typeof ropeFields>>;

/** As many turns a position as PyTorch computes in float32: a text of thousands of tokens multiplies the difference. */
function plainFrequencies(theta: number, width: number): number[] {
  return Array.from({ length: width / 2 }, (_, pair) => {
    const power = Math.fround(theta ** Math.fround((2 * pair) / width));
    return Math.fround(1 / power);
  });
}

function originalPositions(
  { original_max_position_embeddings: own }: z.infer<typeof Llama3 | typeof Yarn>,
  { original, positions }: Sizes,
): number {
  return original ?? own ?? positions;
}

function llama3Frequency(plain: number, rope: z.infer<typeof Llama3>, original: number): number {
  const { factor, low_freq_factor: low, high_freq_factor: high } = rope;
  const wavelength = (2 * Math.PI) / plain;
  const waves = original / wavelength;
  if (waves > high) return plain;
  if (waves < low) return plain / factor;
  const smooth = (waves - low) / (high - low);
  return (1 - smooth) * (plain / factor) + smooth * plain;
}

const [usualBetaFast, usualBetaSlow] = [32, 1];

/** YaRN's temperature for a text `scale` times as long. */
function temperature(scale: number, mscale = 1): number {
  return scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1;
}

function yarn(rope: z.infer<typeof Yarn>, theta: number, sizes: Sizes): Rope {
  const { width } = sizes;
  const original = originalPositions(rope, sizes);
  const factor = rope.factor ?? sizes.positions / original;
  /** The pair that turns so often over the original length. */
  const pairOf = (turns: number) =>
    (width * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = pairOf(rope.beta_fast ?? usualBetaFast);
  const last = pairOf(rope.beta_slow ?? usualBetaSlow);
  const whole = rope.truncate ?? true;
  const low = Math.max(whole ? Math.floor(first) : first, 0);
  const high = Math.min(whole ? Math.ceil(last) : last, width - 1);
  const span = high === low ? 0.001 : high - low;
  const frequencies = plainFrequencies(theta, width).map((plain, pair) => {
    const stretched = Math.min(Math.max((pair - low) / span, 0), 1);
    return plain * (1 - stretched) + (plain / factor) * stretched;
  });
  const { mscale, mscale_all_dim: all } = rope;
  const ratio =
    mscale && all ? temperature(factor, mscale) / temperature(factor, all) : temperature(factor);
  return { ...usual, frequencies, gain: rope.attention_factor ?? ratio };
}

const usual = { gain: 1, reach: null };

/** @param usualTheta where the parameters name none */
export function ropeOf(rope: RopeParameters, usualTheta: number, sizes: Sizes): Rope {
  const theta = rope.rope_theta ?? usualTheta;
  if (rope.rope_type === "yarn") return yarn(rope, theta, sizes);
  const plain = plainFrequencies(theta, sizes.width);
  switch (rope.rope_type) {
    case "default":
      return { ...usual, frequencies: plain };
    case "dynamic":
      return { ...usual, frequencies: plain, reach: sizes.positions };
    case "linear":
      return { ...usual, frequencies: plain.map((frequency) => frequency / rope.factor) };
    case "llama3": {
      const original = originalPositions(rope, sizes);
      return { ...usual, frequencies: plain.map((each) => llama3Frequency(each, rope, original)) };
    }
  }
}

const plainRope: RopeParameters = { rope_type: "default" };

/** The one rope of all layers. @throws ConfigError */
export function onlyRope(file: RopeFile, usualTheta: number, sizes: Sizes): Rope {
  const rope = file.rope_scaling ?? file.rope_parameters ?? plainRope;
  if ("full_attention" in rope || "sliding_attention" in rope) {
    throw new ConfigError(
      "config.json: rope_parameters by kind of layer are not built for this family",
    );
  }
  const { rope_theta: theta, original_max_position_embeddings: original } = file;
  return ropeOf(rope, theta ?? usualTheta, { ...sizes, original });
}

/** f32 [rows, pairs] each: cosine and sine of the angle by which a pair is turned at a position. */
export type RopeTables = { readonly cos: Value; readonly sin: Value };

/**
 * @param size rows: positions; pairs: of a head, those beyond the rope's own are not turned
 * @throws ConfigError for more positions than the rope reaches
 */
export function ropeTables(
  graph: GraphBuilder,
  { frequencies, gain, reach }: Rope,
  { rows, pairs }: { readonly rows: number; readonly pairs: number },
): RopeTables {
  if (reach !== null && rows > reach) {
    throw new ConfigError(
      `a dynamic rope is built for texts of up to max_position_embeddings, ${reach}, not ${rows}`,
    );
  }
  const table = (name: string, of: (angle: number) => number) =>
    graph.initializer({
      name: graph.uniqueName(`rope.${name}`),
      dtype: "float32",
      shape: [rows, pairs],
      load: () => {
        const elements = new Float32Array(rows * pairs);
        for (let at = 0; at < elements.length; at++) {
          const frequency = Math.fround(frequencies[at % pairs] ?? 0);
          elements[at] = gain * of(Math.fround(Math.floor(at / pairs) * frequency));
        }
        return elements;
      },
    });
  return { cos: table("cos", Math.cos), sin: table("sin", Math.sin) };
}
