/**
 * What PEFT's `adapter_config.json` says of layers of low rank (LoraConfig of peft 0.21), and the layers that the
 * weights beside it hold. What is not computed as PEFT computes it is refused by name.
 */
import * as z from "zod";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { type WeightSource } from "../weights/weight-source.ts";

/** Ranks that are served: stacks are as wide as the largest rank in them. */
export const rankMax = 128;
/** Of an adapter: more than any encoder of the catalogue has. */
const layersMax = 512;

const rank = z.int().positive().max(rankMax);
const alpha = z.number().finite().min(-1e6).max(1e6);
/** PEFT takes regular expressions. Names alone are served, whole or their last parts. */
const layerName = z.string().regex(/^\^?[\w.]{1,200}$/);
const patternsMax = 1_000;
const perLayer = <T extends z.ZodType>(value: T) =>
  z
    .record(layerName, value)
    .refine((patterns) => Object.keys(patterns).length <= patternsMax, "too many")
    .nullish();

/** Of a head alone all may be absent. */
export const loraFields = {
  r: rank.nullish(),
  lora_alpha: alpha.nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: perLayer(rank),
  alpha_pattern: perLayer(alpha),
};
const LoraFields = z.object(loraFields);
export type LoraFields = z.infer<typeof LoraFields>;

const isOff = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Fields of LoraConfig that change what a layer computes, which are to be off. */
const unserved = [
  "use_dora",
  "use_qalora",
  "lora_bias",
  "fan_in_fan_out",
  "layer_replication",
  "trainable_token_indices",
  "target_parameters",
  "megatron_config",
  "alora_invocation_tokens",
  "arrow_config",
  "use_bdlora",
  "kasa_config",
  "monteclora_config",
  "velora_config",
] as const;

/** Ways to start that leave the base as it is; others (PiSSA, CorDA, OLoRA, LoftQ …) change its weights. */
const startsServed: readonly unknown[] = [true, false, "gaussian", "eva", "orthogonal"];

/** @throws Error that names what of the configuration is not served */
export function checkLoraConfig(config: Readonly<Record<string, unknown>>, file: string): void {
  const field = unserved.find((name) => !isOff(config[name]));
  if (field !== undefined) throw new Error(`${file}: ${field} is not served`);
  const { bias, init_lora_weights: start } = config;
  if (!isOff(bias) && bias !== "none") {
    throw new Error(`${file}: bias ${JSON.stringify(bias)} is not served: only "none" is`);
  }
  if (isOff(start) || startsServed.includes(start)) return;
  throw new Error(
    `${file}: init_lora_weights ${JSON.stringify(start)} changes the base and is not served`,
  );
}

/** An adapter's part in one layer of its base. */
export type LoraLayer = {
  /** As the base's class has it, without PEFT's prefix. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly rank: number;
  /** What B is multiplied by. */
  readonly scale: number;
};

export const downName = (layer: string) => `${peftPrefix}${layer}.lora_A.weight`;
export const upName = (layer: string) => `${peftPrefix}${layer}.lora_B.weight`;

/** As PEFT finds a layer's own rank and alpha: by the first name that is the layer's, or its end. */
function ofLayer<T>(patterns: Readonly<Record<string, T>> | null | undefined, layer: string) {
  const found = Object.entries(patterns ?? {}).find(([name]) =>
    name.startsWith("^") ? layer === name.slice(1) : layer === name || layer.endsWith(`.${name}`),
  );
  return found?.[1];
}

/** PEFT's defaults. */
const [rankDefault, alphaDefault] = [8, 8];

function readLayer(source: WeightSource, name: string, config: LoraFields): LoraLayer {
  const [down, up] = [downName(name), upName(name)].map((tensor) => {
    const shape = source.entry(tensor)?.shape;
    if (shape === undefined) throw new Error(`${tensor} is missing`);
    const [rows = 0, columns = 0, ...more] = shape;
    if (more.length === 0 && rows > 0 && columns > 0) return { rows, columns };
    throw new Error(`${tensor} is [${shape.join(", ")}], expected a matrix`);
  });
  if (down === undefined || up === undefined) throw new Error(`${name} has no matrices`);
  const expected = ofLayer(config.rank_pattern, name) ?? config.r ?? rankDefault;
  if (down.rows !== expected || up.columns !== expected) {
    throw new Error(
      `${name} has ranks ${down.rows} and ${up.columns}, the configuration says ${expected}`,
    );
  }
  const strength = ofLayer(config.alpha_pattern, name) ?? config.lora_alpha ?? alphaDefault;
  const scale = strength / (config.use_rslora ? Math.sqrt(expected) : expected);
  return { name, inputs: down.columns, outputs: up.rows, rank: expected, scale };
}

const loraTensor = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/;

/**
 * @param names of the tensors that are no head's
 * @param served what the file may hold, in words: "… are"
 * @throws Error that names what is not served, or does not fit the configuration
 */
export function readLoraLayers(
  source: WeightSource,
  names: readonly string[],
  config: LoraFields,
  served: string,
): LoraLayer[] {
  const layers = new Set<string>();
  for (const name of names) {
    const layer = loraTensor.exec(name)?.[1];
    if (layer === undefined) {
      throw new Error(`${name} is not served: only ${served}`);
    }
    layers.add(layer);
    if (layers.size > layersMax) throw new Error(`it has more than ${layersMax} layers of LoRA`);
  }
  return [...layers].map((layer) => readLayer(source, layer, config));
}
