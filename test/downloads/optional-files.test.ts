/** Files of the manifest that a model may lack: fetched where a source has them, done without where it has not. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ModelManifest } from "#contract/catalogue.ts";
import { fetchModel } from "../../gpu-worker/downloads/fetch-model.ts";
import {
  cachedFolder,
  gatheringFolder,
  readFetchRecord,
} from "../../gpu-worker/downloads/model-cache.ts";
import { type HubServer, sha256, startHubServer } from "./hub-server.ts";
import { writeZip } from "./write-zip.ts";

const id = "made-up/model";
const config = Buffer.from(`{"model_type":"bert"}\n`);
const needed = { path: "config.json", sha256: null, bytes: null };
const optional = { path: "modules.json", sha256: null, bytes: null, optional: true };

const manifest: ModelManifest = {
  id,
  aliases: [],
  tasks: ["feature-extraction"],
  licence: "apache-2.0",
  limits: { maxTokens: 8, dimensions: 4, vocabularySize: 10 },
  files: [needed, optional],
  sources: [{ kind: "hub", repository: id, revision: "main" }],
};

let hub: HubServer;
let stateFolder: string;
const dispatcher = new Agent();

beforeEach(async () => {
  hub = await startHubServer({ "config.json": config });
  stateFolder = await mkdtemp(path.join(tmpdir(), "llm-os-optional-"));
});

afterEach(async () => {
  await hub.close();
  await rm(stateFolder, { recursive: true, force: true });
});

const onProgress = () => undefined;

function fetched(of = manifest, pythonCommands: [string, ...string[]][] = []) {
  const { endpoint } = hub;
  const settings = { stateFolder, hub: { endpoint, token: null, dispatcher }, retryDelayMs: 1 };
  const signal = new AbortController().signal;
  return fetchModel(of, { ...settings, pythonCommands }, { signal, onProgress });
}

async function recorded(): Promise<string[] | undefined> {
  const record = await readFetchRecord(cachedFolder(stateFolder, id));
  return record?.files.map((file) => file.path);
}

describe("a file that a model may lack", () => {
  it("is fetched where the hub has it", async () => {
    hub.files.set("modules.json", Buffer.from("[]"));
    const folder = await fetched();
    expect(await readFile(path.join(folder, "modules.json"), "utf8")).toBe("[]");
    expect(await recorded()).toEqual(["config.json", "modules.json"]);
  });

  it("is done without where the hub has not, whatever an earlier try left of it", async () => {
    const gathered = gatheringFolder(stateFolder, id);
    await mkdir(gathered, { recursive: true });
    await writeFile(path.join(gathered, "modules.json"), "[]");
    const folder = await fetched();
    expect(await recorded()).toEqual(["config.json"]);
    expect(await readdir(folder)).not.toContain("modules.json");
  });

  it("is done without where a mirror answers 404 without the hub's code", async () => {
    hub.faults.set("modules.json", { kind: "status", status: 404, times: 1 });
    await fetched();
    expect(await recorded()).toEqual(["config.json"]);
  });

  it.each([
    { status: 403, errorCode: "GatedRepo", says: /accept/ },
    { status: 404, errorCode: "RevisionNotFound", says: /no revision/ },
    { status: 503, errorCode: "", says: /HTTP 503/ },
  ])("is not taken to be missing for a $status $errorCode", async ({ says, ...answer }) => {
    hub.faults.set("modules.json", { kind: "status", times: 9, ...answer });
    await expect(fetched()).rejects.toThrow(says);
    expect(await recorded()).toBeUndefined();
  });

  it("does not excuse one that is needed", async () => {
    hub.files.delete("config.json");
    await expect(fetched()).rejects.toThrow(/has no file config\.json/);
  });

  it("may be missing in a wheel too", async () => {
    const folder = "made_up/";
    const wheel = writeZip({ [`${folder}config.json`]: config });
    const name = "made_up-1.0-py3-none-any.whl";
    await writeFile(path.join(stateFolder, name), wheel);
    const script = path.join(stateFolder, "pip.mjs");
    await writeFile(
      script,
      `import { copyFileSync } from "node:fs";
       const into = process.argv[process.argv.indexOf("--dest") + 1];
       copyFileSync(new URL(${JSON.stringify(name)}, import.meta.url), into + "/${name}");`,
    );
    const source = { kind: "wheel", requirement: "made-up==1.0", folder } as const;
    const sources = [{ ...source, sha256: sha256(wheel) }];
    await fetched({ ...manifest, sources }, [[process.execPath, script]]);
    expect(await recorded()).toEqual(["config.json"]);
  });
});
