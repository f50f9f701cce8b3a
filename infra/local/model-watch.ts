/**
 * Asks the edge which models it knows, as any caller could, and tells in words what changes: downloads, failures, a
 * model that serves. Also the proof that the edge answers at all and knows its workers' models as they do.
 */
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { WorkerModel } from "./child-protocol.ts";

const ModelRow = z.looseObject({
  ...WorkerModel.shape,
  loaded: z.boolean(),
  progress: z.number().nullish(),
  reason: z.string().nullish(),
  /** Of a tuned model, or a prompt: what is told of that is told of this. */
  base_model: z.string().optional(),
});
type ModelRow = z.infer<typeof ModelRow>;
const ModelList = z.looseObject({ data: z.array(ModelRow) });

const askEveryMs = { starting: 25, running: 1_000 } as const;
/**
 * A worker gathers changes this long before it announces them, and the edge keeps what it was told last for a second.
 */
const announcementMs = 250;

export class ModelWatch {
  readonly #url: string;
  readonly #operatorKey: string;
  readonly #print: (line: string) => void;
  readonly #told = new Map<string, string>();

  constructor(url: string, operatorKey: string, print: (line: string) => void) {
    this.#url = url;
    this.#operatorKey = operatorKey;
    this.#print = print;
  }

  /**
   * Resolves when, after `childrenReady`, the edge is healthy, knows a model that serves, and lists each model of the
   * workers as one of them has it: what it kept of an earlier run is not what a caller asks for.
   */
  async untilServing(
    childrenReady: Promise<void>,
    { workers, signal }: { workers(): readonly WorkerModel[][]; signal: AbortSignal },
  ): Promise<void> {
    await this.#followUntil(childrenReady, signal);
    while ((await this.#get("/healthz", signal)) === null) {
      await delay(askEveryMs.starting, undefined, { signal });
    }
    await delay(announcementMs, undefined, { signal });
    for (;;) {
      const listed = await this.#models(signal);
      if (serves(listed) && listsAll(listed, workers().flat())) return;
      await delay(askEveryMs.starting, undefined, { signal });
    }
  }

  /** Tells of changes until `signal` aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(askEveryMs.running, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await this.#models(signal);
    }
  }

  /** Asks only where it takes long: an early question would be what the edge answers from for its next second. */
  async #followUntil(done: Promise<void>, signal: AbortSignal): Promise<void> {
    const following = new AbortController();
    void this.follow(AbortSignal.any([signal, following.signal]));
    await done.finally(() => following.abort());
  }

  async #models(signal: AbortSignal): Promise<ModelRow[]> {
    const parsed = ModelList.safeParse(await this.#get("/v1/models", signal));
    if (!parsed.success) return [];
    for (const model of parsed.data.data) this.#tell(model);
    return parsed.data.data;
  }

  #tell(model: ModelRow): void {
    const words = model.base_model === undefined ? describe(model) : null;
    if (words === null || this.#told.get(model.id) === words) return;
    this.#told.set(model.id, words);
    this.#print(`${model.id}: ${words}`);
  }

  /** @returns the body of a 200; null for everything else, since the edge may be on its way up or down */
  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    try {
      const response = await fetch(`${this.#url}${path}`, {
        headers: { authorization: `Bearer ${this.#operatorKey}` },
        signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
      });
      const body: unknown = await response.json();
      return response.ok ? body : null;
    } catch {
      return null;
    }
  }
}

function serves(models: ModelRow[]): boolean {
  return models.some(({ status, loaded }) => loaded || status === "failed");
}

/** Of workers that differ the edge shows one. What a failed model could do is not known to its worker. */
function listsAll(listed: readonly ModelRow[], models: readonly WorkerModel[]): boolean {
  const rows = new Map(listed.map((row) => [row.id, row]));
  const shown = new Set(
    models
      .filter(({ id, status, tasks }) => {
        const row = rows.get(id);
        return row?.status === status && (tasks.length === 0 || `${row.tasks}` === `${tasks}`);
      })
      .map(({ id }) => id),
  );
  return models.every(({ id }) => shown.has(id));
}

/** Progress in steps of 5 %, so that a download is a handful of lines. */
function describe({ status, progress, reason }: ModelRow): string | null {
  if (status === "failed") return `failed: ${reason ?? "no reason given"}`;
  if (status !== "downloading" || typeof progress !== "number") return null;
  return `fetching or compiling, ${Math.floor(progress * 20) * 5} %`;
}
