/**
 * Models that cannot be brought up: what stays so is told from what may pass, in words that give nothing of the machine
 * away.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { modelFailure } from "../../gpu-worker/catalog/model-failure.ts";
import { type CatalogBench, hubOnly, never, openCatalogBench, stateOf } from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";
import { writeTinyOnnx } from "./tiny-onnx.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

const systemError = (code: string) =>
  Object.assign(new Error(`${code}: no luck, open '/srv/models/secret/model.safetensors'`), {
    code,
  });

describe("a failure", () => {
  it.each([
    ["a full disk", systemError("ENOSPC")],
    ["a file that may not be read", new Error("cannot read", { cause: systemError("EACCES") })],
    ["too little memory", new Error("Failed to allocate memory for requested buffer")],
    ["a device in trouble", new Error("CUDA failure 700: an illegal memory access")],
  ])("of this machine may pass: %s", (_, error) => {
    const failure = modelFailure("tiny", error);
    expect(failure.code).toBe("model_unavailable");
    expect(failure.message).not.toContain("/srv");
    expect(failure.cause).toBe(error);
  });

  it.each([
    new Error("model_type gpt2 is not built, only bert is"),
    new SyntaxError("Unexpected token"),
    "no reason at all",
  ])("of the model itself stays: %s", (error) => {
    expect(modelFailure("tiny", error)).toMatchObject({
      code: "model_not_servable",
      param: "model",
    });
  });
});

/** Everything that `GET /v1/models` may show, and what a caller is told. */
async function toldOf(id: string): Promise<{ code: unknown; told: string }> {
  const catalog = await bench.open();
  const thrown: unknown = await catalog.acquire(id, never).catch((error: unknown) => error);
  const { code, message } = thrown as { code: unknown; message: string };
  return { code, told: `${message}\n${JSON.stringify(stateOf(catalog, id))}` };
}

function expectPublic(told: string): void {
  expect(told).not.toContain(bench.folder);
  expect(told).not.toMatch(/https?:|127\.0\.0\.1|localhost/);
}

describe("what callers are told", () => {
  it("of a file that the runtime cannot read names no folder; the log does", async () => {
    await writeTinyOnnx(bench.local("odd"), "none");
    await writeFile(path.join(bench.local("odd"), "model.onnx"), "no model");
    const { code, told } = await toldOf("odd");
    expect(code).toBe("model_not_servable");
    expect(told).toContain('"notServable":true');
    expectPublic(told);
    expect(inspect(bench.warned, { depth: 5 })).toContain(bench.local("odd"));
  });

  it("of a file that is a folder names neither, and calls it passing", async () => {
    await writeTinyEncoder(bench.local("odd"));
    await rm(path.join(bench.local("odd"), "tokenizer.json"));
    await mkdir(path.join(bench.local("odd"), "tokenizer.json"));
    const { code, told } = await toldOf("odd");
    expect(code).toBe("model_unavailable");
    expect(told).toContain("EISDIR");
    expectPublic(told);
  });

  it.each([
    ["that is down", async () => bench.hub.close()],
    ["without the file", async () => void bench.hub.files.clear()],
    [
      "whose file server fails",
      async () =>
        void bench.hub.faults.set("model.safetensors", { kind: "status", status: 500, times: 99 }),
    ],
  ])("of a hub %s names no address; the log does", async (_, trouble) => {
    const { endpoint } = bench.hub;
    await trouble();
    const { code, told } = await toldOf(hubOnly);
    expect(code).toBe("model_unavailable");
    expect(told).not.toContain("LLM_OS_");
    expectPublic(told);
    const logged = inspect(bench.warned, { depth: 5 });
    expect(logged).toContain(endpoint);
    expect(logged).toContain("LLM_OS_MODELS");
  });

  it("of a download under way names no address", async () => {
    const catalog = await bench.open();
    const reasons = new Set<string | null>();
    catalog.onChange(() => reasons.add(stateOf(catalog, hubOnly).reason));
    await catalog.acquire(hubOnly, never);
    expect(reasons.size).toBeGreaterThan(1);
    expectPublic([...reasons].join("\n"));
  });
});

describe("a model that cannot be served", () => {
  it("is looked at again once its files have changed, without being asked for", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    await rm(path.join(bench.local("tiny"), "tokenizer.json"));
    const catalog = await bench.open();
    expect(stateOf(catalog, "tiny")).toMatchObject({ status: "failed", notServable: true });
    await expect(catalog.acquire("tiny", never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringContaining("there is neither tokenizer.json nor"),
    });
    await catalog.recheck();
    expect(stateOf(catalog, "tiny")).toMatchObject({ status: "failed", notServable: true });
    await writeTinyEncoder(bench.local("tiny"));
    await catalog.recheck();
    expect(stateOf(catalog, "tiny")).toMatchObject({ status: "available", reason: null });
    expect(stateOf(catalog, "tiny").notServable).toBeUndefined();
    await catalog.acquire("tiny", never);
  });
});
