/**
 * The caller's own tuned models, as this isolate has them: each is asked of the caller's `TunedModels` at most once a
 * second while it is used, so that a second after a deletion nothing answers for it any more. Only names that begin
 * with `ft:` are asked for, and only for who can own a model.
 */
import { LRUCache } from "lru-cache";
import type { ModelDigest } from "#contract/models.ts";
import { isTunedModelName, TunedModelName } from "#contract/training/tuned-model.ts";
import type { EdgeContext } from "../context.ts";
import type { Env } from "../environment.ts";
import type { ModelListing } from "./merge-models.ts";
import type { KeptTunedModel } from "./tuned-models.ts";

const copyMs = 1_000;
const copiesMax = 1_000;
const digestsToldMax = 10_000;

type Copy = { listing: ModelListing; fetchedAtMs: number };
type Isolate = {
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

/** A model of the caller's own; null: it has none of that name. */
export async function ownModel(c: EdgeContext, name: string): Promise<ModelListing | null> {
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

/** All of the caller's own, in the order they came. */
export async function ownModels(c: EdgeContext): Promise<ModelListing[]> {
  const kept = (await tunedModelsOf(c)?.list()) ?? [];
  return kept.map(listingOf);
}

/** @returns whether the caller had such a model */
export async function removeOwnModel(c: EdgeContext, name: string): Promise<boolean> {
  const models = TunedModelName.safeParse(name).success ? tunedModelsOf(c) : null;
  if (models === null) return false;
  const removed = await models.remove(name);
  isolateOf(c.env).copies.delete(keyOf(c.get("caller").tenant, name));
  return removed;
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
