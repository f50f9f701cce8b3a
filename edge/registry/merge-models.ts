/**
 * What the platform says of its models: the catalogue, overlaid by what workers announced. Pure. A worker that has
 * lapsed still vouches for a model's digest where no live one speaks of it, so that cached results stay valid at scale
 * zero.
 */
import { catalogue } from "#contract/catalogue.ts";
import type { ModelDigest, ModelState, ModelStatus } from "#contract/models.ts";
import type { TunedModel } from "#contract/training/tuned-model.ts";

export type Announced = { state: ModelState; seenAtMs: number; live: boolean };

export type MergedModel = Omit<ModelState, "digest" | "notServable"> & {
  /** No worker can serve it, for a reason that stays until its files change. */
  notServable: boolean;
  /** Digests results may carry now; several while a fleet is mixed, none before the model was ever loaded. */
  digests: string[];
};
export type ModelListing = MergedModel & {
  /** When this platform first listed it. */
  createdAtMs: number;
  /** Its caller's own, and where its files are. Absent: the platform's. */
  tuned?: TunedModel;
};

/** The more useful first: one worker that can serve a model is enough. */
const statusOrder: readonly ModelStatus[] = ["available", "downloading", "failed"];

/**
 * Catalogue order first, then the others by id.
 * @param carried digests of late results, which may be ahead of what is announced
 */
export function mergeModels(
  announced: readonly Announced[],
  carried: readonly ModelDigest[] = [],
): MergedModel[] {
  const byId = new Map<string, Announced[]>(catalogueStates().map((state) => [state.id, []]));
  for (const entry of announced) {
    const group = byId.get(entry.state.id) ?? [];
    group.push(entry);
    byId.set(entry.state.id, group);
  }
  const known = new Map(catalogueStates().map((state) => [state.id, state]));
  const awaited = announced.some(({ live }) => live) ? notWithWorkers : noWorkers;
  const merged = [...byId].flatMap(([id, group]) => {
    const model = mergeOne(group, known.get(id));
    if (model === null) return [];
    const spoken = group.some(({ live }) => live);
    const reason = spoken ? model.reason : (model.reason ?? awaited);
    const late = carried.flatMap((each) => (each.id === id ? [each.digest] : []));
    return [{ ...model, reason, digests: [...new Set([...model.digests, ...late])] }];
  });
  const inCatalogue = merged.filter(({ id }) => known.has(id));
  const others = merged.filter(({ id }) => !known.has(id));
  return [...inCatalogue, ...others.toSorted((a, b) => (a.id < b.id ? -1 : 1))];
}

function mergeOne(group: readonly Announced[], known: ModelState | undefined): MergedModel | null {
  const live = group.filter((entry) => entry.live);
  const latest = group.toSorted((a, b) => b.seenAtMs - a.seenAtMs).slice(0, 1);
  const speaking = live.length > 0 ? live : latest;
  const states = speaking
    .map(({ state }) => state)
    .toSorted((a, b) => statusOrder.indexOf(a.status) - statusOrder.indexOf(b.status));
  const best = states[0] ?? known;
  if (best === undefined) return null;
  const { digest: _, notServable: _said, ...rest } = best;
  return {
    ...rest,
    // Only those who are here now can know.
    notServable: live.length > 0 && live.every(({ state }) => state.notServable === true),
    aliases: [...new Set([...states.flatMap((state) => state.aliases), ...(known?.aliases ?? [])])],
    tasks: best.tasks.length > 0 ? best.tasks : (known?.tasks ?? []),
    loaded: live.some(({ state }) => state.loaded),
    limits: best.limits ?? known?.limits ?? null,
    licence: best.licence ?? known?.licence ?? null,
    digests: [...new Set(states.flatMap(({ digest }) => digest ?? []))],
  };
}

const noWorkers = "No worker is running; a request waits for one to start.";
const notWithWorkers = "No running worker has it; a request waits for one that does.";

function catalogueStates(): ModelState[] {
  return catalogue.map((manifest) => ({
    id: manifest.id,
    aliases: manifest.aliases,
    tasks: manifest.tasks,
    status: "available",
    progress: null,
    reason: null,
    loaded: false,
    digest: null,
    sizeBytes: manifest.files.reduce((sum, file) => sum + (file.bytes ?? 0), 0) || null,
    limits: manifest.limits,
    licence: manifest.licence,
  }));
}
