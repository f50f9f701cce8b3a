/**
 * Jobs that go on from a tuned model. At a rate of next to nothing what comes out is what it began with: so it is told
 * what a training begins with.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TunedModelSource } from "../../contract/training/tuned-model.ts";
import type { TuningOrder } from "../../contract/training/tuning-job.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { labelled, TuningRig, usualOptions } from "./tuning-rig.ts";

let rig: TuningRig;

beforeAll(async () => {
  rig = await TuningRig.open();
  await rig.work();
});
beforeEach(() => rig.edge.forget());
afterAll(() => rig.close());

const still = { ...usualOptions, epochs: 1, learningRate: 1e-12, seed: 77 };

async function made(changes: Partial<TuningOrder>) {
  const outcome = await rig.outcomeOf(await rig.add(changes));
  if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
  return outcome.model;
}

/** Why it failed; else what became of it. */
async function refused(changes: Partial<TuningOrder>, data?: string): Promise<string> {
  const outcome = await rig.outcomeOf(await rig.add(changes, data));
  return outcome.kind === "failed" ? outcome.error.message : outcome.kind;
}

type Model = Awaited<ReturnType<typeof made>>;

const startOf = (model: Model) => ({
  start: { kind: model.kind, source: TunedModelSource.parse(model) },
});

/** Its tensors, by name. */
async function tensorsOf({ files }: Model, name: string): Promise<Map<string, Float32Array>> {
  const file = files.find((each) => each.path === name);
  if (file === undefined) throw new Error(`no ${name}`);
  const target = path.join(rig.bench.settings.stateFolder, `${file.object.sha256}.safetensors`);
  await writeFile(target, await rig.read(file.object));
  const source = openSafetensors(target);
  try {
    return new Map(source.names().map((each) => [each, readFloat32(source, each)] as const));
  } finally {
    source.close();
  }
}

/** The most that any number of the two differs by. */
function distance(a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()) {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? NaN))), 0);
}

function rowsOf(weight: Float32Array = new Float32Array(), rows: number): Float32Array[] {
  const width = weight.length / rows;
  return Array.from({ length: rows }, (_, row) => weight.subarray(row * width, (row + 1) * width));
}

describe("an adapter", () => {
  const file = "adapter_model.safetensors";
  const classifier = "base_model.model.classifier.weight";
  let first: Model;

  beforeAll(async () => {
    const lora = { rank: 4, alpha: 12 };
    first = await made({ options: { ...usualOptions, strategy: "lora", lora } });
  });

  it("goes on beside the same base, in its own sizes, each label where it is now", async () => {
    const labelNames = ["maybe", "true", "false"];
    const strategy = "auto" as const;
    const options = { ...still, strategy, labelNames };
    const next = await made({ options, ...startOf(first) });
    expect(next).toMatchObject({ kind: "adapter", base: "tiny" });
    const told = rig.edge.events.map(({ message }) => message).join("\n");
    expect(told).toContain('no example has the label "maybe"');
    expect(rig.edge.events.find(({ data }) => data["lora_rank"])?.data).toMatchObject({
      strategy: "lora",
      lora_rank: 4,
      lora_alpha: 12,
    });
    const [before, after] = [await tensorsOf(first, file), await tensorsOf(next, file)];
    expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted());
    for (const [name, values] of before)
      if (!name.includes("classifier"))
        expect(distance(after.get(name), values), name).toBeLessThan(1e-9);
    // In the order of the data: false, true.
    const [no, yes] = rowsOf(before.get(classifier), 2);
    const [, nextYes, nextNo] = rowsOf(after.get(classifier), 3);
    expect(distance(nextYes, yes)).toBeLessThan(1e-9);
    expect(distance(nextNo, no)).toBeLessThan(1e-9);
  });

  it("that is a head alone, of another task or another strategy, is refused by name", async () => {
    const head = await made({ options: { ...usualOptions, strategy: "head" } });
    const auto = { options: { ...still, strategy: "auto" } } as const;
    expect(await refused({ ...auto, ...startOf(head) })).toMatch(/a head alone.*name its base/);
    expect(await refused({ options: still, ...startOf(first) })).toMatch(/goes on as lora alone/);
    const tags = Array.from({ length: 20 }, (_, at) => ({
      tokens: ["a", ...Array.from({ length: at }, () => "quick"), "fox"],
      tags: ["O", ...Array.from({ length: at }, () => "O"), "B-X"],
    }));
    const tagged = tags.map((line) => JSON.stringify(line)).join("\n");
    expect(await refused({ ...auto, ...startOf(first) }, tagged)).toMatch(
      /does text-classification, and the examples are for token-classification/,
    );
  });
});

describe("a checkpoint", () => {
  it("goes on with all its weights, and becomes no adapter", async () => {
    const first = await made({});
    const next = await made({ options: still, ...startOf(first) });
    expect(next).toMatchObject({ kind: "checkpoint", base: "tiny" });
    const file = "model.safetensors";
    const [before, after] = [await tensorsOf(first, file), await tensorsOf(next, file)];
    for (const [name, values] of before)
      expect(distance(after.get(name), values), name).toBeLessThan(1e-9);
    const options = { ...still, strategy: "lora" } as const;
    const outcome = await rig.outcomeOf(await rig.add({ options, ...startOf(first) }));
    expect(outcome).toMatchObject({
      kind: "failed",
      error: { code: "invalid_value", message: expect.stringContaining("full or top-k") },
    });
  });
});

describe("numbers as labels", () => {
  it("are the places of names", async () => {
    const lines = labelled(120)
      .replaceAll('"label":"true"', '"label":1')
      .replaceAll('"label":"false"', '"label":0');
    const strategy = "head" as const;
    const options = { ...usualOptions, strategy, labelNames: ["no", "yes"] };
    const outcome = await rig.outcomeOf(await rig.add({ options }, lines));
    if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
    const own = outcome.model.files.find((each) => each.path === "llm-os.json");
    const text = own === undefined ? "{}" : (await rig.read(own.object)).toString();
    expect(JSON.parse(text)).toMatchObject({ labels: ["no", "yes"], problem: "single_label" });
    const short = { ...options, labelNames: ["no"] };
    expect(await rig.outcomeOf(await rig.add({ options: short }, lines))).toMatchObject({
      kind: "failed",
      error: { param: "label_names", message: expect.stringContaining('has no "1"') },
    });
  });
});
