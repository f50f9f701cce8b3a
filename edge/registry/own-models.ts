/**
 * The caller's own tuned models, as this isolate has them: each is asked of the caller's `TunedModels` at most once a
 * second while it is used, so that a second after a deletion nothing answers for it any more. Only names that begin
 * with `ft:` are asked for, and only for who can own a model. So it is with aliases.
 */
import { LRUCache } from "lru-cache";
import { CodedError } from "#contract/errors.ts";
import type { ModelDigest } from "#contract/models.ts";
import { isTunedModelName, TunedModelName } from "#contract/training/tuned-model.ts";
import type { EdgeContext } from "../context.ts";
import type { Env } from "../environment.ts";
import type { ModelListing } from "./merge-models.ts";
import { aliasCalled, calledName, drawOf, type ModelAlias } from "./model-alias.ts";
import type { KeptTunedModel } from "./tuned-models.ts";

declare module "../context.ts" {
  interface Variables {
    /** The request's body, parsed, while its model is looked for; by it an alias chooses. Undefined: there is none. */
    rolloutBy: unknown;
  }
}

const copyMs = 1_000;
const copiesMax = 1_000;
const digestsToldMax = 10_000;

type Copy = { listing: ModelListing; fetchedAtMs: number };
type AliasCopy = { alias: ModelAlias; fetchedAtMs: number };
type Isolate = {
  /** By tenant and name. What was not found is not kept. */
  aliases: LRUCache<string, AliasCopy>;
  /** By tenant and name. What was not found is not kept: it may be there in a moment. */
  copies: LRUCache<string, Copy>;
  /** Digests that the tenant's object keeps. */
  told: LRUCache<string, true>;
};
const isolates = new WeakMap<Env, Isolate>();

function isolateOf(env: Env): Isolate {
  const known = isolates.get(env);
  if (known !== undefined) return known;
  const isolate: Isolate = {
    aliases: new LRUCache({ max: copiesMax }),
    copies: new LRUCache({ max: copiesMax }),
    told: new LRUCache({ max: digestsToldMax }),
  };
  isolates.set(env, isolate);
  return isolate;
}

const keyOf = (tenant: string, ...names: string[]) => [tenant, ...names].join(" ");

/** The caller's object; null for who has no key: behind an address there may be anybody. */
export function tunedModelsOf(c: EdgeContext) {
  const { tenant, operator } = c.get("caller");
  return operator ? c.env.TUNED_MODELS.getByName(tenant) : null;
}

/** A model of the caller's own, by its name or an alias; null: it has none of that name. */
export async function ownModel(c: EdgeContext, name: string): Promise<ModelListing | null> {
  const alias = aliasCalled(name);
  if (alias !== null) return modelOfAlias(c, alias);
  const models = TunedModelName.safeParse(name).success ? tunedModelsOf(c) : null;
  if (models === null) return null;
  const key = keyOf(c.get("caller").tenant, name);
  const { copies } = isolateOf(c.env);
  const copy = copies.get(key);
  if (copy !== undefined && Date.now() - copy.fetchedAtMs < copyMs) return copy.listing;
  const fetchedAtMs = Date.now();
  const found = await models.find(name);
  if (found === null) {
    copies.delete(key);
    return null;
  }
  const listing = listingOf(found);
  copies.set(key, { listing, fetchedAtMs });
  return listing;
}

async function modelOfAlias(c: EdgeContext, name: string): Promise<ModelListing | null> {
  // Where the alias points to may change, and then the same call is answered otherwise.
  c.set("exactCallKey", undefined);
  const { aliases } = isolateOf(c.env);
  const key = keyOf(c.get("caller").tenant, name);
  const copy = aliases.get(key);
  if (copy !== undefined && Date.now() - copy.fetchedAtMs < copyMs) {
    const found = await ownModel(c, await chosenModel(c, copy.alias));
    // It pointed to a model that was deleted since.
    if (found !== null) return found;
  }
  const fetchedAtMs = Date.now();
  const alias = (await tunedModelsOf(c)?.findAlias(name)) ?? null;
  if (alias === null) {
    aliases.delete(key);
    return null;
  }
  aliases.set(key, { alias, fetchedAtMs });
  return ownModel(c, await chosenModel(c, alias));
}

async function chosenModel(c: EdgeContext, { name, model, rollout }: ModelAlias): Promise<string> {
  const request: unknown = c.get("rolloutBy");
  if (rollout === null || request === undefined) return model;
  const draw = await drawOf(name, JSON.stringify(request));
  return draw < rollout.share ? rollout.model : model;
}

/** An alias of the caller's was changed: this isolate asks for it again. */
export function forgetAlias(c: EdgeContext, name: string): void {
  isolateOf(c.env).aliases.delete(keyOf(c.get("caller").tenant, name));
}

/** All of the caller's own, in the order they came. */
export async function ownModels(c: EdgeContext): Promise<ModelListing[]> {
  const kept = (await tunedModelsOf(c)?.list()) ?? [];
  return kept.map(listingOf);
}

/** @returns whether the caller had such a model @throws CodedError of one that an alias points to */
export async function removeOwnModel(c: EdgeContext, name: string): Promise<boolean> {
  const models = TunedModelName.safeParse(name).success ? tunedModelsOf(c) : null;
  if (models === null) return false;
  const answer = await models.removeUnpointed(name);
  if ("alias" in answer) throw aliased(name, answer.alias);
  isolateOf(c.env).copies.delete(keyOf(c.get("caller").tenant, name));
  return answer.removed;
}

function aliased(model: string, alias: string): CodedError {
  return new CodedError(
    "invalid_value",
    `The alias ${calledName(alias)} points to ${model}. Point it to another model (POST /v1/aliases), or delete it ` +
      `(DELETE /v1/aliases/${alias}), and then the model.`,
    { param: "model" },
  );
}

function listingOf(kept: KeptTunedModel): ModelListing {
  const { name, tasks, bytes, limits, licence, createdAt, digests } = kept;
  return {
    id: name,
    aliases: [],
    tasks,
    status: "available",
    progress: null,
    reason: null,
    notServable: false,
    loaded: false,
    sizeBytes: bytes,
    limits,
    licence,
    digests,
    createdAtMs: createdAt,
    tuned: kept,
  };
}

/** Results of a tenant's own models carry these digests: from now on they are vouched for in all isolates. */
export async function tellOwnDigests(
  env: Env,
  tenant: string,
  carried: readonly ModelDigest[],
): Promise<void> {
  const { told } = isolateOf(env);
  for (const { id, digest } of carried) {
    const key = keyOf(tenant, id, digest);
    if (!isTunedModelName(id) || told.has(key)) continue;
    try {
      if (await env.TUNED_MODELS.getByName(tenant).carry(id, digest)) told.set(key, true);
    } catch (error) {
      // Its results are not found again until another carries it.
      console.warn(JSON.stringify({ event: "tuned.carry_failed", reason: String(error) }));
    }
  }
}

/** As `tellOwnDigests`, in this isolate alone and without a call. */
export function learnOwnDigests(
  c: Pick<EdgeContext, "env">,
  tenant: string,
  carried: readonly ModelDigest[],
): void {
  const { copies } = isolateOf(c.env);
  for (const { id, digest } of carried) {
    const copy = copies.get(keyOf(tenant, id));
    if (copy === undefined || copy.listing.digests.includes(digest)) continue;
    const listing = { ...copy.listing, digests: [...copy.listing.digests, digest] };
    copies.set(keyOf(tenant, id), { ...copy, listing });
  }
}
