import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CatalogBench, openCatalogBench, vectorOf } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

const graphs = () => path.join(bench.settings.stateFolder, "graphs");

async function graphFiles() {
  const names = (await readdir(graphs(), { recursive: true })).toSorted();
  const stats = await Promise.all(names.map((name) => stat(path.join(graphs(), name))));
  return names.map((name, index) => `${name} ${stats[index]?.ino} ${stats[index]?.mtimeMs}`);
}

describe("compiled graphs", () => {
  it("are kept and used by the next worker", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    const vector = await vectorOf(await bench.open(), "tiny");
    const before = await graphFiles();
    expect(before.some((name) => name.includes("model.onnx"))).toBe(true);
    expect(await vectorOf(await bench.open(), "tiny")).toEqual(vector);
    expect(await graphFiles()).toEqual(before);
  });

  it.each(["truncated", "overwritten", "without its note"])(
    "that are %s are built again",
    async (damage) => {
      await writeTinyEncoder(bench.local("tiny"));
      const vector = await vectorOf(await bench.open(), "tiny");
      const [key = ""] = await readdir(graphs());
      const model = path.join(graphs(), key, "model.onnx");
      const whole = await readFile(model);
      if (damage === "truncated") await writeFile(model, whole.subarray(0, whole.length >> 1));
      if (damage === "overwritten") await writeFile(model, whole.fill(3, whole.length >> 1));
      if (damage === "without its note") await rm(path.join(graphs(), key, "files.json"));
      expect(await vectorOf(await bench.open(), "tiny")).toEqual(vector);
      expect(await readdir(graphs())).toEqual([key]);
    },
  );

  it("may be built by two workers at once", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    const [first, second] = await Promise.all([bench.open(), bench.open()]);
    const vectors = await Promise.all([vectorOf(first, "tiny"), vectorOf(second, "tiny")]);
    expect(vectors[0]).toEqual(vectors[1]);
    expect(await readdir(graphs())).toHaveLength(1);
  });

  it("that a killed process left half built are swept away after an hour", async () => {
    const abandoned = path.join(graphs(), "key.uuid.tmp");
    await mkdir(abandoned, { recursive: true });
    const { mtimeMs } = await stat(abandoned);
    bench.nowMs = mtimeMs + 3_599_000;
    await bench.open();
    expect(await readdir(graphs())).toEqual(["key.uuid.tmp"]);
    bench.nowMs = mtimeMs + 3_600_000;
    await bench.open();
    expect(await readdir(graphs())).toEqual([]);
  });
});
