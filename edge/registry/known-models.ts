/**
 * This isolate's copy of the registry: fresh for a second, then served stale while one request fetches a new one, so
 * that the hot path makes no call. Past a minute of silence it is fetched before it is used.
 */
import { LRUCache } from "lru-cache";
import { CodedError } from "#contract/errors.ts";
import { type ModelDigest, joinDigests } from "#contract/models.ts";
import { type ReadyPrompt, readyPrompt } from "#contract/prompts/ready-prompts.ts";
import { isTunedModelName } from "#contract/training/tuned-model.ts";
import type { EdgeContext } from "../context.ts";
import type { Env } from "../environment.ts";
import type { ModelListing } from "./merge-models.ts";
import { ownModel } from "./own-models.ts";

const freshMs = 1_000;
const usableMs = 60_000;
/** The registry is told again of a digest that nobody has announced for so long. */
const toldAgainMs = 1_000;
const digestsToldMax = 1_000;

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

  /**
   * What results of these models may carry now.
   * @param tuned digests of the request's own model where it is a caller's; absent: it is one of these
   */
  digestsOf({ model, entityModel }: ResultModels, tuned?: readonly string[]): string[] {
    const own = tuned ?? this.#byName.get(model)?.digests ?? [];
    if (entityModel === null) return [...own];
    const others = this.#byName.get(entityModel)?.digests ?? [];
    return own.flatMap((digest) => others.map((other) => joinDigests([digest, other])));
  }

  /** @returns a copy in which results of each model may carry its digest too */
  with(carried: readonly ModelDigest[]): KnownModels {
    const list = this.list.map((model) => {
      const late = carried.flatMap(({ id, digest }) => (id === model.id ? [digest] : []));
      return { ...model, digests: [...new Set([...model.digests, ...late])] };
    });
    return new KnownModels(list, this.fetchedAtMs);
  }
}

/**
 * Whose digests a result carries: the request's own model's, and that of the one that finds entities for it, if any.
 */
export type ResultModels = { model: string; entityModel: string | null };

type Copy = {
  models: KnownModels | null;
  refreshingSinceMs: number;
  /** When the registry was told of a digest that a result carried. */
  toldAtMs: LRUCache<string, number>;
};
const copies = new WeakMap<Env, Copy>();

function copyOf(env: Env): Copy {
  const known = copies.get(env);
  if (known !== undefined) return known;
  const copy: Copy = {
    models: null,
    refreshingSinceMs: 0,
    toldAtMs: new LRUCache({ max: digestsToldMax }),
  };
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

/**
 * @returns the model, the caller's own among them, looked up again where a copy that may be stale does not know it
 * @throws CodedError `model_not_found`
 */
export async function modelNamed(c: EdgeContext, name: string): Promise<ModelListing> {
  const models = await knownModels(c);
  const model =
    models.find(name) ?? (await ownModel(c, name)) ?? (await lookAgain(c, models)).find(name);
  if (model !== undefined) return model;
  const ready = readyPrompt(name);
  if (ready !== undefined) throw isPrompt(ready);
  const examples = models.list.slice(0, 5).map(({ id }) => id);
  throw new CodedError(
    "model_not_found",
    `There is no model ${JSON.stringify(name.slice(0, 200))} here. Use one of GET /v1/models: ${examples.join(", ")}.`,
    { param: "model" },
  );
}

function isPrompt({ id, task }: ReadyPrompt): CodedError {
  return new CodedError(
    "invalid_value",
    `${id} is a prompt that a model answers: ask it at /v1/chat/completions, or for ${task} at /hf/models/${id}. ` +
      "Here, name another model.",
    { param: "model" },
  );
}

/** What results of these models may carry now, the caller's own among them; none: a result of them is good no more. */
export async function digestsNow(c: EdgeContext, asked: ResultModels): Promise<string[]> {
  const models = usableModels(c) ?? (await knownModels(c));
  return digestsAmong(c, models, asked);
}

/** As `digestsNow`, of the registry as it stands: where a copy that may be stale knows no digest of a model. */
export async function freshDigests(c: EdgeContext, asked: ResultModels): Promise<string[]> {
  return digestsAmong(c, await fetchModels(c.env), asked);
}

async function digestsAmong(c: EdgeContext, models: KnownModels, asked: ResultModels) {
  const { model } = asked;
  const platforms = !isTunedModelName(model) || models.find(model) !== undefined;
  if (platforms) return models.digestsOf(asked);
  return models.digestsOf(asked, (await ownModel(c, model))?.digests ?? []);
}

/**
 * Results carry these digests: from now on they are vouched for here, before any worker's announcement has come. Makes
 * no call to the registry: see `tellDigests`. Of tenants' own models see own-models.ts.
 */
export function learnDigests(c: Pick<EdgeContext, "env">, carried: readonly ModelDigest[]): void {
  const copy = copyOf(c.env);
  const news = carried.filter((each) => !isTunedModelName(each.id) && !isKnown(copy, each));
  if (news.length > 0) copy.models = copy.models?.with(news) ?? null;
}

/** As `learnDigests`, in all isolates: the registry is told of those that this one did not know. */
export async function tellDigests(
  c: Pick<EdgeContext, "env">,
  carried: readonly ModelDigest[],
): Promise<void> {
  const copy = copyOf(c.env);
  const nowMs = Date.now();
  const news = carried.filter((each) => {
    const toldAtMs = copy.toldAtMs.get(keyOf(each)) ?? 0;
    const ours = !isTunedModelName(each.id);
    return ours && !isKnown(copy, each) && nowMs - toldAtMs > toldAgainMs;
  });
  learnDigests(c, carried);
  if (news.length === 0) return;
  for (const each of news) copy.toldAtMs.set(keyOf(each), nowMs);
  try {
    await c.env.REGISTRY.getByName("registry").carry(news);
  } catch (error) {
    // The worker's own announcement says the same in a moment.
    console.warn(JSON.stringify({ event: "registry.carry_failed", reason: String(error) }));
  }
}

const keyOf = ({ id, digest }: ModelDigest) => `${id} ${digest}`;

function isKnown({ models }: Copy, { id, digest }: ModelDigest): boolean {
  return models?.find(id)?.digests.includes(digest) ?? false;
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
