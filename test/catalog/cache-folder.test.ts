/** What can be made again, in a folder apart from the state. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openCatalogBench, vectorOf } from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

it("has a graph built once for two states", async () => {
  const bench = await openCatalogBench();
  onTestFinished(() => bench.close());
  await writeTinyEncoder(bench.local("tiny"));
  const cacheFolder = path.join(bench.folder, "cache");
  const graphs = path.join(cacheFolder, "graphs");
  const serve = async (state: string) => {
    const stateFolder = path.join(bench.folder, state);
    const vector = await vectorOf(await bench.open({ cacheFolder, stateFolder }), "tiny");
    const names = await readdir(graphs);
    const files = await Promise.all(
      names.map((name) => stat(path.join(graphs, name, "model.onnx"))),
    );
    return { vector, names, files: files.map(({ ino, mtimeMs }) => ({ ino, mtimeMs })) };
  };
  const first = await serve("one");
  expect(first.names).toHaveLength(1);
  expect(await serve("another")).toEqual(first);
  for (const state of ["one", "another"])
    await expect(stat(path.join(bench.folder, state, "graphs"))).rejects.toThrow(/ENOENT/);
});
