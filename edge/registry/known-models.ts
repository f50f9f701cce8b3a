/**
 * This isolate's copy of the registry: fresh for a second, then served stale while one request fetches a new one, so that
 * the hot path makes no call. Past a minute of silence it is fetched before it is used.
 */
import { CodedError } from "#contract/errors.ts";
import type { EdgeContext } from "../context.ts";
import type { Env } from "../environment.ts";
import type { ModelListing } from "./merge-models.ts";

const freshMs = 1_000;
const usableMs = 60_000;

export class KnownModels {
  readonly list: readonly ModelListing[];
  readonly fetchedAtMs: number;
  readonly #byName = new Map<string, ModelListing>();

  constructor(list: readonly ModelListing[], fetchedAtMs: number) {
    this.list = list;
    this.fetchedAtMs = fetchedAtMs;
    // Ids after aliases: where both claim a name, the id has it.
    for (const model of list) for (const alias of model.aliases) this.#byName.set(alias, model);
    for (const model of list) this.#byName.set(model.id, model);
  }

  /** @param name an id or an alias, the hub id among them */
  find(name: string): ModelListing | undefined {
    return this.#byName.get(name);
  }

  /** Whether results of this model may carry this digest now. */
  vouchesFor(id: string, digest: string): boolean {
    return this.#byName.get(id)?.digests.includes(digest) ?? false;
  }
}

type Copy = { models: KnownModels | null; refreshingSinceMs: number };
const copies = new WeakMap<Env, Copy>();

function copyOf(env: Env): Copy {
  const known = copies.get(env);
  if (known !== undefined) return known;
  const copy: Copy = { models: null, refreshingSinceMs: 0 };
  copies.set(env, copy);
  return copy;
}

/** The copy, fetched only where there is none that can be used. */
export async function knownModels(c: EdgeContext): Promise<KnownModels> {
  return usableModels(c) ?? (await fetchModels(c.env));
}

/** The copy as it stands, without waiting; null where there is none that can be used. */
export function usableModels(c: EdgeContext): KnownModels | null {
  const copy = copyOf(c.env);
  const nowMs = Date.now();
  const { models } = copy;
  if (models === null || nowMs - models.fetchedAtMs > usableMs) return null;
  const stale = nowMs - models.fetchedAtMs > freshMs;
  if (stale && nowMs - copy.refreshingSinceMs > freshMs) {
    copy.refreshingSinceMs = nowMs;
    c.executionCtx.waitUntil(fetchModels(c.env));
  }
  return models;
}

/** @returns the model, looked up again where a copy that may be stale does not know it @throws CodedError `model_not_found` */
export async function modelNamed(c: EdgeContext, name: string): Promise<ModelListing> {
  const models = await knownModels(c);
  const model = models.find(name) ?? (await lookAgain(c, models)).find(name);
  if (model !== undefined) return model;
  const examples = models.list.slice(0, 5).map(({ id }) => id);
  throw new CodedError(
    "model_not_found",
    `There is no model ${JSON.stringify(name.slice(0, 200))} here. Use one of GET /v1/models: ${examples.join(", ")}.`,
    { param: "model" },
  );
}

async function lookAgain(c: EdgeContext, models: KnownModels): Promise<KnownModels> {
  return Date.now() - models.fetchedAtMs > freshMs ? fetchModels(c.env) : models;
}

async function fetchModels(env: Env): Promise<KnownModels> {
  const list = await env.REGISTRY.getByName("registry").list();
  const models = new KnownModels(list, Date.now());
  copyOf(env).models = models;
  return models;
}
