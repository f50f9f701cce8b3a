import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readCheckpoint } from "../../gpu-worker/checkpoints/checkpoint.ts";
import { DecoderForms } from "../../gpu-worker/compute-form/decoder-form-choice.ts";
import { type FormSetting, openFormChoice } from "../../gpu-worker/compute-form/form-choice.ts";
import { openGraphCache } from "../../gpu-worker/graphs/graph-cache.ts";
import {
  compareForms,
  isAccurate,
  openKeptFigures,
} from "../../gpu-worker/compute-form/int8-accuracy.ts";
import { openKeptDigests } from "../../gpu-worker/files/kept-digests.ts";
import { ModelLoader } from "../../gpu-worker/catalog/load-model.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";

const never = new AbortController().signal;
const quiet = { info: () => undefined, warn: () => undefined };
const runtime = openRuntime({ log: quiet, threads: 1 });
const embedded = "gpu-worker/catalog/embedded/all-MiniLM-L6-v2/model.safetensors";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-int8-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const rows = (...values: number[][]) => values.map((row) => Float32Array.from(row));

function classifier(problem: "single_label" | "multi_label" | "regression"): ModelHead {
  return { name: "sequence-classification", labels: ["a", "b"], problem, linear: null };
}

describe("the figures of two forms", () => {
  it("are cosines where a model makes vectors", () => {
    const head = { name: "none" as const };
    const [f32, int8] = [rows([1, 0], [3, 4]), rows([2, 0], [4, 3])];
    const figures = compareForms(f32, int8, { head, isSentence: true });
    expect(figures).toEqual({ of: "vectors", cosineMean: 0.98, cosineMin: 0.96 });
  });

  it("are agreement and the shift of probabilities where it decides", () => {
    const head = classifier("single_label");
    const [f32, int8] = [rows([0, 0.1], [Math.log(3), 0]), rows([0.1, 0], [0, 0])];
    const figures = compareForms(f32, int8, { head, isSentence: false });
    // σ(0.1) − σ(−0.1) = 0.04996, and ¾ − ½.
    expect(figures).toMatchObject({ of: "scores", agreement: 0.5 });
    expect(figures).toHaveProperty("shift", expect.closeTo((0.04996 + 0.25) / 2, 4));
  });

  it("take each label by itself, and one logit alone, as a probability", () => {
    const several = compareForms(rows([0, Math.log(3)]), rows([0, 0]), {
      head: classifier("multi_label"),
      isSentence: false,
    });
    expect(several).toEqual({ of: "scores", agreement: 1, shift: expect.closeTo(0.25, 6) });
    const alone = compareForms(rows([0]), rows([Math.log(3)]), {
      head: classifier("single_label"),
      isSentence: false,
    });
    expect(alone).toMatchObject({ shift: expect.closeTo(0.25, 6) });
  });

  it("measure a regression by the spread of its numbers", () => {
    const head = classifier("regression");
    const figures = compareForms(rows([0], [5]), rows([0.5], [5]), { head, isSentence: false });
    expect(figures).toEqual({ of: "scores", agreement: 0.5, shift: 0.05 });
  });

  it.each([
    [true, { head: { name: "none" as const }, isSentence: true }],
    [false, { head: classifier("single_label"), isSentence: false }],
  ])("are refused where int8 gives no numbers (vectors: %s)", (_, compared) => {
    const figures = compareForms(rows([1, 2]), rows([NaN, NaN]), compared);
    expect(isAccurate(figures)).toBe(false);
    expect(JSON.stringify(figures)).not.toContain("null");
  });
});

describe("the bound", () => {
  it.each([
    [true, { of: "vectors" as const, cosineMean: 0.99, cosineMin: 0.97 }],
    [false, { of: "vectors" as const, cosineMean: 0.989, cosineMin: 0.98 }],
    [false, { of: "vectors" as const, cosineMean: 0.998, cosineMin: 0.96 }],
    [true, { of: "scores" as const, agreement: 0.9, shift: 0.02 }],
    [true, { of: "scores" as const, agreement: 0.98, shift: 0.05 }],
    [false, { of: "scores" as const, agreement: 0.97, shift: 0.03 }],
    [false, { of: "scores" as const, agreement: 1, shift: 0.06 }],
  ])("is %s of %j", (accurate, figures) => {
    expect(isAccurate(figures)).toBe(accurate);
  });
});

describe("kept figures", () => {
  const figures = { of: "scores" as const, agreement: 1, shift: 0.01 };

  it("are found again, all of those kept at the same time, and measured anew where damaged", async () => {
    const kept = openKeptFigures(folder);
    expect(await kept.find("w", "a")).toBeNull();
    await Promise.all([kept.keep("a", figures), kept.keep("b", figures)]);
    const again = openKeptFigures(folder);
    expect([await again.find("w", "a"), await again.find("w", "b")]).toEqual([figures, figures]);
    await writeFile(path.join(folder, "int8-accuracy.json"), "{");
    expect(await again.find("w", "a")).toBeNull();
  });

  it("are shipped with the embedded model", async () => {
    const weights = createHash("sha256")
      .update(await readFile(embedded))
      .digest("hex");
    const shipped = await openKeptFigures(folder).find(weights, "any");
    expect(shipped !== null && isAccurate(shipped)).toBe(true);
  });
});

/**
 * Weights that int8 cannot hold: in each row of the first dense layer one is so large that all others round to zero
 * beside it, and what it is multiplied with is always zero, so that f32 does not notice.
 */
async function addOutliers(model: string): Promise<void> {
  const file = path.join(model, "model.safetensors");
  const weights = openSafetensors(file);
  const tensors = weights.names().map((name) => {
    const { data, shape } = weights.read(name);
    const values = Float32Array.from(data, Number);
    if (name.includes("attention.output.LayerNorm")) values[0] = 0;
    const columns = shape[1] ?? 1;
    if (name.endsWith("intermediate.dense.weight")) {
      for (const at of values.keys()) values[at] = at % columns === 0 ? 1e6 : (values[at] ?? 0) * 8;
    }
    return { name, dtype: "float32" as const, shape: [...shape], load: () => values };
  });
  weights.close();
  await writeSafetensors(file, tensors);
}

const measure = async () => ({ f32: 100, int8: 300, saturates: false });

async function open(setting: FormSetting, measured: string[]) {
  const opened = await runtime;
  const log = { info: (_: object, words: string) => measured.push(words), warn: () => undefined };
  const forms = openFormChoice({ setting, stateFolder: folder, machine: "m", measure, log: quiet });
  const digests = openKeptDigests(folder);
  const loader = new ModelLoader(
    {
      runtime: opened,
      provider: "cpu",
      deviceMemory: null,
      digests,
      graphs: openGraphCache(folder, digests),
      forms,
      kvCache: "float",
      decoderForms: new DecoderForms({
        kvCache: "float",
        setting,
        provider: "cpu",
        stateFolder: folder,
        machine: "m",
        builderVersion: 1,
        now: () => 0,
        log,
      }),
      figures: openKeptFigures(folder),
      modelsMemory: 2 ** 30,
      runsMemory: 2 ** 30,
      log,
    },
    {
      unloadIdleAdapter: () => Promise.resolve(false),
      baseOf: () => expect.unreachable(),
      withRoom: (_, load) => load(),
    },
  );
  const checkpoint = await readCheckpoint(path.join(folder, "tiny"));
  return {
    digest: () => loader.digest(checkpoint, never),
    async load() {
      const loaded = await loader.load("tiny", checkpoint, {
        onStep: () => undefined,
        signal: never,
      });
      await loaded.dispose();
      return { form: loaded.form, digest: loaded.digest };
    },
  };
}

const file = () => path.join(folder, "int8-accuracy.json");

describe("a model where int8 is faster", () => {
  it.each([
    ["int8", false],
    ["f32", true],
  ])("is %s, its outliers in the weights being %s, and measured once", async (form, outliers) => {
    await writeTinyEncoder(path.join(folder, "tiny"));
    if (outliers) await addOutliers(path.join(folder, "tiny"));
    const said: string[] = [];
    const first = await open("auto", said);
    expect(await first.digest()).toBeNull();
    const loaded = await first.load();
    expect([loaded.form, await readFile(file(), "utf8")]).toEqual([form, expect.any(String)]);
    expect(said).toHaveLength(1);
    const second = await open("auto", said);
    expect(await second.digest()).toBe(loaded.digest);
    expect(await second.load()).toEqual(loaded);
    expect(said).toHaveLength(1);
  });

  it.each(["f32", "int8"] as const)("is %s where pinned, and not measured", async (form) => {
    await writeTinyEncoder(path.join(folder, "tiny"));
    const said: string[] = [];
    const pinned = await open(form, said);
    const digest = await pinned.digest();
    expect(await pinned.load()).toEqual({ form, digest });
    expect(said).toEqual([]);
    await expect(readFile(file())).rejects.toThrow("ENOENT");
  });
});
