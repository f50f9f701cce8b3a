/**
 * A name of a tenant's own that points to one of its tuned models, and for a while, for a share of the requests, to a
 * second one. It points to models alone, never to another alias, so that there are no circles.
 */
import * as z from "zod";
import type { TunedModelName } from "#contract/training/tuned-model.ts";

/** What is called is `ft:@<alias>`: other names are never looked up as aliases. */
const calledPrefix = "ft:@";

export const AliasName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/);

export const aliasLimits = {
  /** Of one key. */
  aliasesMax: 20,
  /** Models that an alias pointed to, the newest of them. */
  historyMax: 20,
} as const;

export type Rollout = {
  model: TunedModelName;
  /** Of the requests, more than 0 and less than 1. */
  share: number;
};

/** Times are milliseconds since the epoch. */
export type ModelAlias = {
  /** Without `ft:@`. */
  name: string;
  model: TunedModelName;
  rollout: Rollout | null;
  /** What it pointed to before, the newest first. */
  history: { model: TunedModelName; until: number }[];
  createdAt: number;
  changedAt: number;
};

export type AskedAlias = Pick<ModelAlias, "name" | "model" | "rollout">;

export function calledName(alias: string): string {
  return `${calledPrefix}${alias}`;
}

/** @returns the alias that is called by this name; null: it is no name of one */
export function aliasCalled(name: string): string | null {
  if (!name.startsWith(calledPrefix)) return null;
  const alias = AliasName.safeParse(name.slice(calledPrefix.length));
  return alias.success ? alias.data : null;
}

/** @param before the alias as it stands; null: there is none yet */
export function pointed(before: ModelAlias | null, asked: AskedAlias, now: number): ModelAlias {
  if (before === null) return { ...asked, history: [], createdAt: now, changedAt: now };
  const { model, history } = before;
  const moved = model !== asked.model;
  const next = moved ? [{ model, until: now }, ...history] : history;
  const { historyMax } = aliasLimits;
  return { ...before, ...asked, history: next.slice(0, historyMax), changedAt: now };
}

/**
 * One step back: a rollout ends, or, where there is none, the alias points to what it did before.
 * @param isHere whether a model is still there; those that are not are passed over
 * @returns null where there is nothing to go back to
 */
export function rolledBack(
  alias: ModelAlias,
  isHere: (model: string) => boolean,
  now: number,
): ModelAlias | null {
  if (alias.rollout !== null) return { ...alias, rollout: null, changedAt: now };
  const at = alias.history.findIndex(({ model }) => isHere(model));
  const found = alias.history[at];
  if (found === undefined) return null;
  return { ...alias, model: found.model, history: alias.history.slice(at + 1), changedAt: now };
}

/** Whether an alias needs the model. */
export function pointsTo({ model, rollout }: ModelAlias, name: string): boolean {
  return model === name || rollout?.model === name;
}

/** By which an alias, and the models that answer or answered for it, are called. */
export function namesOf({ name, model, rollout, history }: ModelAlias): string[] {
  const second = rollout === null ? [] : [rollout.model];
  const before = history.map((each) => each.model);
  return [...new Set([calledName(name), model, ...second, ...before])];
}

/** Of a request, as much as tells it from others. */
const drawnCharactersMax = 65_536;

/** @returns 0 to 1, evenly: the same for the same request, whatever the share is */
export async function drawOf(alias: string, request: string): Promise<number> {
  const text = `${alias}\n${request.slice(0, drawnCharactersMax)}`;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new DataView(digest).getUint32(0) / 2 ** 32;
}
