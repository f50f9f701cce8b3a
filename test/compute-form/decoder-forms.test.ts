/** Which form a decoder is served in: pinned, or the fastest of those that are accurate, measured once. */
import { existsSync, symlinkSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { compareLogits } from "../../gpu-worker/compute-form/compare-logits.ts";
import { isAccurateDecoder } from "../../gpu-worker/compute-form/decoder-accuracy.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";

const id = "tiny";
const smollm = "SmolLM2-135M-Instruct";
const shared = path.join(sharedFolder ?? "", "models", smollm);
const here = sharedFolder !== null && existsSync(shared);

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

async function keptForms(): Promise<{ form: string; figures: object; milliseconds: object }[]> {
  const file = path.join(bench.settings.stateFolder, "decoder-forms.json");
  return Object.values(JSON.parse(await readFile(file, "utf8")));
}

const graphs = () => readdir(path.join(bench.settings.stateFolder, "graphs"));

describe("the form of a decoder", () => {
  it.each(["f32", "int8", "int8-rotated", "int4"] as const)(
    "is the one that is set: %s",
    async (form) => {
      await writeTinyDecoder(bench.local(id));
      const model = await (await bench.open({ form })).acquire(id, never);
      expect(model.form).toBe(form);
      expect(await graphs()).toHaveLength(1);
    },
  );

  it("is refused by name where it is not computed here", async () => {
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, threads: 1 });
    await expect(
      openCatalog({ ...bench.settings, form: "f16" }, { runtime, log, now: () => 0 }),
    ).rejects.toThrow(/LLM_OS_FORM is f16/);
  });

  it("is measured when it is first loaded, and known from then on", async () => {
    await writeTinyDecoder(bench.local(id));
    const catalog = await bench.open({ form: "auto" });
    const model = await catalog.acquire(id, never);
    const [kept, ...others] = await keptForms();
    expect(others).toEqual([]);
    expect(model.form).toBe(kept?.form);
    expect(Object.keys(kept?.figures ?? {})).toEqual(["int8-rotated", "int8"]);
    expect(await graphs()).toHaveLength(1);
    const next = await bench.open({ form: "auto" });
    const steps = new Set<string | null>();
    next.onChange(() => steps.add(stateOf(next, id).reason));
    expect((await next.acquire(id, never)).digest).toBe(model.digest);
    expect(steps).not.toContain("Compiling for this machine");
  });

  it("is none that is rotated beside keys and values in int8", async () => {
    await writeTinyDecoder(bench.local(id));
    await (await bench.open({ form: "auto", kvCache: "int8" })).acquire(id, never);
    expect((await keptForms()).map(({ figures }) => Object.keys(figures))).toEqual([["int8"]]);
  });

  it("is none that is rotated of a decoder whose norms allow none, and refused there", async () => {
    await writeTinyDecoder(bench.local(id), "gemma3-old-form");
    await (await bench.open({ form: "auto" })).acquire(id, never);
    expect((await keptForms()).map(({ figures }) => Object.keys(figures))).toEqual([["int8"]]);
    const pinned = await bench.open({ form: "int8-rotated" });
    await expect(pinned.acquire(id, never)).rejects.toThrow(/allow no rotation: set int8, or auto/);
  });

  it("is the smallest where the forms do not fit side by side", async () => {
    await writeTinyDecoder(bench.local(id));
    // Keys and values take 25 kB, the weights 35 in f32 and 10 in blocks of 8 bits.
    const model = await (await bench.open({ form: "auto", memory: 40_000 })).acquire(id, never);
    expect(model.form).toBe("int8");
  });

  it.skipIf(!here)("is one of SmolLM2's own, which is known to be accurate in all", async () => {
    symlinkSync(shared, bench.local(smollm));
    const model = await (await bench.open({ form: "auto" })).acquire(smollm, never);
    const [kept] = await keptForms();
    expect(Object.keys(kept?.milliseconds ?? {}).toSorted()).toEqual([
      "int4",
      "int8",
      "int8-rotated",
    ]);
    expect(model.form).toBe(kept?.form);
  });
});

describe("the comparison of two forms", () => {
  it("is of distributions, not of logits", () => {
    const exact = Float32Array.of(1, 2, 3, 0, 0, 0);
    const shifted = exact.map((logit) => logit + 5);
    expect(compareLogits(exact, shifted, { ids: [0, 2], from: 1 })).toEqual({
      divergence: expect.closeTo(0, 10),
      logprobShift: expect.closeTo(0, 6),
      agreeing: 1,
      places: 1,
    });
  });

  it("is of the next token's log probability, by hand", () => {
    const exact = Float32Array.of(0, 0, 9, 9);
    const found = Float32Array.of(Math.log(3), 0, 9, 9);
    const { divergence, logprobShift, agreeing } = compareLogits(exact, found, {
      ids: [0, 1],
      from: 1,
    });
    expect(logprobShift).toBeCloseTo(Math.log(2), 6);
    expect(divergence).toBeCloseTo(0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25), 6);
    expect(agreeing).toBe(1);
  });

  it("holds a form that gives no numbers for inaccurate", () => {
    const good = { divergence: 0, logprobShift: 0, agreement: 1 };
    expect(isAccurateDecoder(good)).toBe(true);
    for (const name of Object.keys(good)) {
      expect(isAccurateDecoder({ ...good, [name]: NaN })).toBe(false);
    }
  });
});
