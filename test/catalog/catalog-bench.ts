/**
 * A catalog on folders of its own: an empty state folder, an empty folder of the operator's, a local hub that has the
 * tiny encoder's files, the real runtime, a clock that stands still.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Agent } from "undici";
import type { ModelState } from "#contract/models.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import {
  type CatalogSettings,
  type CatalogTools,
  openCatalog,
} from "../../gpu-worker/catalog/open-catalog.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { type HubServer, startHubServer } from "../downloads/hub-server.ts";
import { tinyEncoderBytes } from "./tiny-encoder.ts";

const log = { info: () => undefined, warn: () => undefined };
const runtime = openRuntime({ log, threads: 1 });

/** A catalogue model that the hub alone has. */
export const hubOnly = "bge-small-en-v1.5";
export const never = new AbortController().signal;

export class CatalogBench {
  readonly folder: string;
  readonly hub: HubServer;
  readonly settings: CatalogSettings;
  nowMs = 0;
  /** What was logged as a warning. */
  readonly warned: object[] = [];
  /** What was logged as information. */
  readonly told: object[] = [];
  readonly #opened: Catalog[] = [];

  constructor(folder: string, hub: HubServer) {
    this.folder = folder;
    this.hub = hub;
    this.settings = {
      stateFolder: path.join(folder, "state"),
      modelsFolder: path.join(folder, "models"),
      hub: { endpoint: hub.endpoint, token: null },
      form: "f32",
      device: "cpu",
    };
  }

  async open(
    changes: Partial<CatalogSettings> = {},
    more: Pick<CatalogTools, "openObject"> = {},
  ): Promise<Catalog> {
    const tools = { ...more, dispatcher: new Agent(), pythonCommands: [], retryDelayMs: 1 };
    const catalog = await openCatalog(
      { ...this.settings, ...changes },
      {
        runtime: await runtime,
        log: {
          info: (fields: object) => void this.told.push(fields),
          warn: (fields: object) => void this.warned.push(fields),
        },
        now: () => this.nowMs,
        ...tools,
      },
    );
    this.#opened.push(catalog);
    return catalog;
  }

  /** Folder of the operator's model of that id. */
  local(id: string): string {
    return path.join(this.folder, "models", id);
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((catalog) => catalog.close()));
    await this.hub.close();
    // What a closed catalog had begun to write may still come.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export async function openCatalogBench(): Promise<CatalogBench> {
  const folder = await mkdtemp(path.join(tmpdir(), "llm-os-catalog-"));
  await mkdir(path.join(folder, "models"));
  const hub = await startHubServer(await tinyEncoderBytes(path.join(folder, "origin")));
  return new CatalogBench(folder, hub);
}

export function stateOf(catalog: Catalog, id: string): ModelState {
  const state = catalog.states().find((entry) => entry.id === id);
  if (state === undefined) throw new Error(`${id} is not listed`);
  return state;
}

/** Resolves when `condition` holds, looked at on each change. */
export function until(catalog: Catalog, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!condition()) return;
      stop();
      resolve();
    };
    const stop = catalog.onChange(look);
    look();
  });
}

function tensor(values: bigint[]) {
  return { dtype: "int64" as const, shape: [1, values.length], data: BigInt64Array.from(values) };
}

/** The vector of a few tokens, to tell one set of weights from another. */
export async function vectorOf(catalog: Catalog, id: string): Promise<number[]> {
  const { session } = await catalog.acquire(id, never);
  const { sentence_embedding: vector } = await session.run({
    input_ids: tensor([2n, 5n, 3n]),
    attention_mask: tensor([1n, 1n, 1n]),
    token_type_ids: tensor([0n, 0n, 0n]),
  });
  if (vector?.dtype !== "float32") throw new Error("no vector");
  return [...vector.data];
}
