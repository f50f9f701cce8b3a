/**
 * Steps of a decoder that write 16 texts: by 16 adapters of low rank, by one of them, and by the base, which has a
 * graph of its own. They take turns, so that a machine that slows down meets all.
 */
import { existsSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import type { LoadedDecoder } from "../../gpu-worker/catalog/loaded-model.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import type { Random } from "../../contract/random.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { type BenchContext, comparedRow, plainRow, type Row } from "../bench.ts";
import { sharedFolder } from "./corpus.ts";
import { DecodeStreams } from "./decode-streams.ts";
import { median, quantile } from "./http-load.ts";
import { ServedModels } from "./served-models.ts";

const baseId = "SmolLM2-135M-Instruct";
const count = 16;
const rank = 8;
const [context, newTokens] = [32, 24];
const rounds = 7;

/** Of a block, [out, in]. */
const layersOfBlock: Readonly<Record<string, readonly [number, number]>> = {
  "self_attn.q_proj": [576, 576],
  "self_attn.k_proj": [192, 576],
  "self_attn.v_proj": [192, 576],
  "self_attn.o_proj": [576, 576],
  "mlp.gate_proj": [1_536, 576],
  "mlp.up_proj": [1_536, 576],
  "mlp.down_proj": [576, 1_536],
};
const blocks = 30;

const tunings = [
  { name: "query and value", targets: ["q_proj", "v_proj"] },
  { name: "all layers", targets: Object.keys(layersOfBlock) },
] as const;

async function writeAdapter(folder: string, targets: readonly string[], random: Random) {
  const filled = (name: string, shape: number[]) => {
    const numbers = shape.reduce((product, size) => product * size, 1);
    const load = () => Float32Array.from({ length: numbers }, () => (random() - 0.5) / 32);
    return { name: `base_model.model.model.${name}`, dtype: "float32" as const, shape, load };
  };
  const tensors = Object.entries(layersOfBlock)
    .filter(([name]) => targets.some((target) => name.endsWith(target)))
    .flatMap(([name, [outputs, inputs]]) =>
      Array.from({ length: blocks }, (_, block) => `layers.${block}.${name}`).flatMap((layer) => [
        filled(`${layer}.lora_A.weight`, [rank, inputs]),
        filled(`${layer}.lora_B.weight`, [outputs, rank]),
      ]),
    );
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseId,
    r: rank,
    lora_alpha: rank,
    target_modules: targets,
  };
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path.join(folder, "adapter_model.safetensors"), tensors);
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(config));
}

/** Milliseconds of a step of all texts, each round's median. */
type Steps = { many: number[]; one: number[]; none: number[] };

async function measureSteps(
  base: LoadedDecoder,
  tuned: readonly LoadedDecoder[],
  signal: AbortSignal,
): Promise<Steps> {
  const numbers = tuned.map(({ adapter = 0 }) => adapter);
  const [own, shared] = [base, tuned[0] ?? base].map((each) => new DecodeStreams(each, signal));
  const runs: readonly [keyof Steps, DecodeStreams | undefined, readonly number[]][] = [
    ["many", shared, numbers],
    ["one", shared, numbers.slice(0, 1)],
    ["none", own, [0]],
  ];
  const steps: Steps = { many: [], one: [], none: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const [what, streams, adapters] of round % 2 === 0 ? runs : runs.toReversed()) {
      const steady = await streams?.steady(count, context, newTokens, adapters);
      // The first round warms up.
      if (round > 0) steps[what].push(quantile(steady?.gapsMs ?? [], 0.5));
    }
  }
  return steps;
}

/** Of rounds that were side by side. */
function ratio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((each, at) => each / (b[at] ?? NaN)));
}

function rowsOf({ many, one, none }: Steps, what: string): Row[] {
  const peer = { name: "none", value: median(none) };
  return [
    comparedRow(`a step of ${count} texts, ${count} adapters on ${what}`, "ms", median(many), peer),
    comparedRow(`a step of ${count} texts, one adapter on ${what}`, "ms", median(one), peer),
    plainRow(`${count} adapters on ${what}, cost vs one`, "×", ratio(many, one)),
    plainRow(`${count} adapters on ${what}, cost vs none`, "×", ratio(many, none)),
  ];
}

/** None where the shared folder has no decoder. */
export async function measureDecoderAdapters(
  { print, signal }: BenchContext,
  runtime: Runtime,
  { stateFolder, random }: { stateFolder: string; random: Random },
): Promise<Row[]> {
  const checkpoint = path.join(sharedFolder, "models", baseId);
  if (!existsSync(checkpoint)) {
    print(`adapters of decoders are not measured: ${checkpoint} is not here`);
    return [];
  }
  const rows: Row[] = [];
  for (const { name, targets } of tunings) {
    const modelsFolder = path.join(stateFolder, `models-decoder-${name}`);
    await rm(modelsFolder, { recursive: true, force: true });
    await mkdir(modelsFolder, { recursive: true });
    await symlink(checkpoint, path.join(modelsFolder, baseId));
    const ids = Array.from({ length: count }, (_, at) => `lora-${at}`);
    for (const id of ids) await writeAdapter(path.join(modelsFolder, id), targets, random);
    const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form: "auto" });
    try {
      const base = await served.loadDecoder(baseId, signal);
      const tuned: LoadedDecoder[] = [];
      for (const id of ids) tuned.push(await served.loadDecoder(id, signal));
      print(`adapters of ${baseId} on ${name}, in the form ${base.form}`);
      rows.push(...rowsOf(await measureSteps(base, tuned, signal), `${name}, ${base.form}`));
    } finally {
      await served.close();
    }
  }
  return rows;
}
