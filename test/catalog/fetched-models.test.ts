import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CatalogBench,
  hubOnly,
  never,
  openCatalogBench,
  stateOf,
  vectorOf,
} from "./catalog-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

describe("a model on the hub", () => {
  it("is fetched by the first request, which waits for it", async () => {
    const catalog = await bench.open();
    const seen = new Set<string>();
    catalog.onChange(() => {
      const { status, progress } = stateOf(catalog, hubOnly);
      seen.add(`${status} ${progress === null ? "unknown" : progress === 1 ? "all" : "part"}`);
    });
    expect(await vectorOf(catalog, hubOnly)).toHaveLength(8);
    expect([...seen]).toContain("downloading all");
    const state = stateOf(catalog, hubOnly);
    expect(state).toMatchObject({
      status: "available",
      loaded: true,
      progress: null,
      reason: null,
    });
    expect(state.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(state.limits?.dimensions).toBe(8);
  });

  it("is here for the next worker, even without the hub", async () => {
    const vector = await vectorOf(await bench.open(), hubOnly);
    await bench.hub.close();
    const next = await bench.open();
    expect(stateOf(next, hubOnly)).toMatchObject({ status: "available", reason: null });
    expect(await vectorOf(next, hubOnly)).toEqual(vector);
  });

  it("that cannot be had is listed with the reason, and tried again after a pause", async () => {
    const whole = new Map(bench.hub.files);
    bench.hub.files.delete("tokenizer.json");
    const catalog = await bench.open();
    const failure = {
      code: "model_unavailable",
      message: expect.stringContaining("has no file tokenizer.json"),
    };
    await expect(catalog.acquire(hubOnly, never)).rejects.toMatchObject(failure);
    expect(stateOf(catalog, hubOnly)).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(/has no file tokenizer\.json\. Send the request again later/),
    });
    const asked = bench.hub.seen.length;
    bench.nowMs = 9_999;
    await expect(catalog.acquire(hubOnly, never)).rejects.toMatchObject(failure);
    expect(bench.hub.seen).toHaveLength(asked);
    bench.nowMs = 10_000;
    bench.hub.files = whole;
    expect(await vectorOf(catalog, hubOnly)).toHaveLength(8);
  });

  it("is given up when the last who waits has left, and not before", async () => {
    const catalog = await bench.open();
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [
      catalog.acquire(hubOnly, first.signal),
      catalog.acquire(hubOnly, second.signal),
    ];
    first.abort(new Error("first left"));
    await expect(waiting[0]).rejects.toThrow("first left");
    expect(await waiting[1]).toMatchObject({ id: hubOnly });
    await catalog.release(hubOnly);
    await rm(bench.settings.stateFolder, { recursive: true });
    const alone = new AbortController();
    const other = await bench.open();
    const stopped = other.acquire(hubOnly, alone.signal);
    other.onChange(() => {
      if (stateOf(other, hubOnly).status === "downloading") alone.abort(new Error("left"));
    });
    await expect(stopped).rejects.toThrow("left");
    expect(await vectorOf(other, hubOnly)).toHaveLength(8);
  });

  it("whose files the disk has changed is refused once and fetched anew", async () => {
    const vector = await vectorOf(await bench.open(), hubOnly);
    const weights = path.join(bench.settings.stateFolder, "models", hubOnly, "model.safetensors");
    const bytes = await readFile(weights);
    await writeFile(weights, bytes.fill(1, bytes.length - 64));
    const catalog = await bench.open();
    await expect(catalog.acquire(hubOnly, never)).rejects.toThrow(/damaged on the disk/);
    bench.nowMs += 10_000;
    expect(await vectorOf(catalog, hubOnly)).toEqual(vector);
  });
});

describe("a model that is fetched in advance", () => {
  it("is there, loaded, when the first request comes", async () => {
    const catalog = await bench.open();
    await catalog.prefetch(hubOnly, never);
    expect(stateOf(catalog, hubOnly)).toMatchObject({ status: "available", loaded: true });
    const asked = bench.hub.seen.length;
    expect(await vectorOf(catalog, hubOnly)).toHaveLength(8);
    expect(bench.hub.seen).toHaveLength(asked);
  });

  it("is as it was where it cannot be had, without a warning, and its state says why", async () => {
    const whole = new Map(bench.hub.files);
    bench.hub.files.delete("tokenizer.json");
    const catalog = await bench.open();
    await expect(catalog.prefetch(hubOnly, never)).rejects.toMatchObject({
      code: "model_unavailable",
    });
    expect(bench.warned).toEqual([]);
    expect(stateOf(catalog, hubOnly)).toMatchObject({
      status: "available",
      loaded: false,
      reason: expect.stringMatching(/^Not on this worker yet.*has no file tokenizer\.json/),
    });
    // Who asks for it does not wait until the failure is old.
    bench.hub.files = whole;
    expect(await vectorOf(catalog, hubOnly)).toHaveLength(8);
  });

  it("has failed as any other where somebody asked for it meanwhile", async () => {
    bench.hub.files.delete("tokenizer.json");
    const catalog = await bench.open();
    const [advance, asked] = await Promise.allSettled([
      catalog.prefetch(hubOnly, never),
      catalog.acquire(hubOnly, never),
    ]);
    expect([advance.status, asked.status]).toEqual(["rejected", "rejected"]);
    expect(stateOf(catalog, hubOnly).status).toBe("failed");
    expect(bench.warned).toHaveLength(1);
  });

  it("is left alone where it is here", async () => {
    const catalog = await bench.open();
    await catalog.prefetch("all-MiniLM-L6-v2", never);
    expect(stateOf(catalog, "all-MiniLM-L6-v2").loaded).toBe(false);
  });
});
