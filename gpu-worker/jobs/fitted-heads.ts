/**
 * Classifiers fitted on the fly, by key: each is fitted once however many requests ask for it, and kept while there is
 * memory. A request that waited for another one's fit begins a fit of its own where that failed, because it may have
 * failed only by its caller leaving.
 */
import { LRUCache } from "lru-cache";
import { orAborted } from "../event-loop/or-aborted.ts";
import type { LinearLayer } from "../model/linear-head.ts";

const bytesMax = 64 * 2 ** 20;

export class FittedHeads {
  readonly #kept = new LRUCache<string, LinearLayer>({
    maxSize: bytesMax,
    sizeCalculation: ({ weight, bias }) => weight.byteLength + bias.byteLength,
  });
  readonly #underWay = new Map<string, Promise<LinearLayer>>();

  /** @throws what `fit` throws; the signal's reason, at once */
  async get(
    key: string,
    fit: () => Promise<LinearLayer>,
    signal: AbortSignal,
  ): Promise<LinearLayer> {
    for (;;) {
      signal.throwIfAborted();
      const kept = this.#kept.get(key);
      if (kept !== undefined) return kept;
      const underWay = this.#underWay.get(key);
      if (underWay === undefined) return this.#fit(key, fit);
      const settled = Promise.allSettled([underWay]);
      await orAborted(settled, signal);
    }
  }

  async #fit(key: string, fit: () => Promise<LinearLayer>): Promise<LinearLayer> {
    const fitting = fit();
    this.#underWay.set(key, fitting);
    try {
      const head = await fitting;
      this.#kept.set(key, head);
      return head;
    } finally {
      this.#underWay.delete(key);
    }
  }
}
