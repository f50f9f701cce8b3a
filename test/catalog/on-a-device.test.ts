/** Models on a GPU that the CPU plays: their form, their memory, their batches. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Agent } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { type CatalogSettings, openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import type { FormSetting } from "../../gpu-worker/compute-form/form-choice.ts";
import { batchTokensMax, deviceMemory } from "../../gpu-worker/catalog/device-memory.ts";
import type { LoadOptions, Runtime } from "../../gpu-worker/runtime/session.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { openRuntime } from "../jobs/device-on-the-cpu.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";
import { acquireEncoder } from "./acquire-encoder.ts";
import { writeTinyDecoder } from "./tiny-decoder.ts";

const warnings: object[] = [];
const log = { info: () => undefined, warn: (fields: object) => void warnings.push(fields) };
const never = new AbortController().signal;
const memory = 2 ** 30;

let place: string;
let runtime: Runtime;
const loads: LoadOptions[] = [];
/** Sessions that are to capture cannot be loaded. */
let refusesCaptures = false;
const open: Catalog[] = [];

beforeAll(async () => {
  place = await mkdtemp(path.join(tmpdir(), "llm-os-on-device-"));
  const real = await openRuntime({ log });
  runtime = {
    ...real,
    load: async (model, options) => {
      loads.push(options);
      if (refusesCaptures && options.captures) throw new Error("the graph has control flow");
      return real.load(model, options);
    },
  };
  await writeTinyEncoder(path.join(place, "models", "steady"));
  await writeOverflowing(path.join(place, "models", "overflowing"));
  await writeTinyDecoder(path.join(place, "models", "writing"));
});
afterAll(async () => {
  await Promise.all(open.map((catalog) => catalog.close()));
  await rm(place, { recursive: true });
});

/** Its feed-forward block passes through numbers beyond f16's 65 504, and comes back. */
async function writeOverflowing(folder: string): Promise<void> {
  const original = path.join(place, "original");
  await mkdir(original, { recursive: true });
  await writeTinyEncoder(original);
  await writeTinyEncoder(folder);
  const source = openSafetensors(path.join(original, "model.safetensors"));
  const tensors = source.names().map((name) => {
    const { shape, data } = source.read(name);
    const gain = /intermediate\.dense/.test(name) ? 1e6 : 1;
    const values = Float32Array.from(
      Array.from<number | bigint, number>(data, Number),
      (value) => value * gain,
    );
    return { name, dtype: "float32" as const, shape, load: () => values };
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
  source.close();
}

function catalogWith(
  form: FormSetting,
  state: string,
  changes: Partial<CatalogSettings> = {},
): Promise<Catalog> {
  const settings = {
    stateFolder: path.join(place, state),
    modelsFolder: path.join(place, "models"),
    hub: { endpoint: "http://127.0.0.1:9", token: null },
    form,
    device: "auto" as const,
    threads: 1,
    memory,
    ...changes,
  };
  const tools = { runtime, log, now: () => 0, dispatcher: new Agent(), pythonCommands: [] };
  return openCatalog(settings, tools).then((catalog) => {
    open.push(catalog);
    return catalog;
  });
}

describe("a model on a GPU", () => {
  it("is computed in f16 where that answers alike, in f32 where it overflows, and is told apart", async () => {
    const catalog = await catalogWith("auto", "auto");
    const steady = await catalog.acquire("steady", never);
    const overflowing = await catalog.acquire("overflowing", never);
    expect([steady.form, overflowing.form]).toEqual(["f16", "f32"]);
    const pinned = await (await catalogWith("f32", "f32")).acquire("steady", never);
    expect(pinned.form).toBe("f32");
    expect(pinned.digest).not.toBe(steady.digest);
  });

  it("keeps that verdict", async () => {
    const before = loads.length;
    const again = await (await catalogWith("auto", "auto")).acquire("steady", never);
    expect(again.form).toBe("f16");
    expect(loads.length - before).toBe(1);
  });

  it("is given its weights and its share of the budget, and no larger batches than that holds", async () => {
    const model = await acquireEncoder(await catalogWith("f16", "f16"), "steady");
    const share = deviceMemory(8 * 2 ** 30, memory);
    expect(loads.at(-1)).toMatchObject({ provider: "cuda", deviceMemoryBytes: model.bytes });
    expect(model.bytes).toBeGreaterThan(share.runBytes);
    expect(model.bytes).toBeLessThan(share.runBytes + 2 ** 20);
    expect(model.batchTokensMax).toBe(batchTokensMax(share, model.limits));
  });

  it("is not computed in int8, which is refused at once", async () => {
    await expect(catalogWith("int8", "int8")).rejects.toThrow(/a GPU computes in f16 or f32/);
    await expect(catalogWith("auto", "cache", { kvCache: "int8" })).rejects.toThrow(
      /LLM_OS_KV_CACHE is int8, but a GPU keeps/,
    );
  });
});

async function acquireDecoder(changes: Partial<CatalogSettings> = {}) {
  const catalog = await catalogWith("auto", "decoders", changes);
  const model = await catalog.acquire("writing", never);
  if (model.kind !== "decoder") throw new Error("it is a decoder");
  return model;
}

describe("a decoder on a GPU", () => {
  it("has a second session for steps that are captured, and counts its memory", async () => {
    const { form, steps, session, bytes } = await acquireDecoder();
    expect(form).toBe("f16");
    expect(loads.at(-1)).toMatchObject({ provider: "cuda", captures: true });
    const names = (each: typeof session | undefined) => each?.inputs.map(({ name }) => name) ?? [];
    expect(names(session)).toContain("piece_length");
    expect(names(steps?.session)).toEqual(
      names(session).filter((name) => !name.startsWith("piece")),
    );
    const given = loads.slice(-2).map(({ deviceMemoryBytes = 0 }) => deviceMemoryBytes);
    expect(bytes).toBe(given.reduce((sum, each) => sum + each));
  });

  it("goes without where that cannot be loaded, and says so", async () => {
    refusesCaptures = true;
    const { steps } = await acquireDecoder();
    refusesCaptures = false;
    expect(steps).toBeUndefined();
    expect(warnings.at(-1)).toEqual({ model: "writing", reason: "the graph has control flow" });
  });

  it("goes without where both do not fit", async () => {
    const { bytes } = await acquireDecoder();
    const { steps, bytes: alone } = await acquireDecoder({ memory: Math.floor(bytes * 0.9) });
    expect(steps).toBeUndefined();
    expect(alone).toBeLessThan(bytes);
  });
});
