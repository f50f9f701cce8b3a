/**
 * Classifiers fitted on the fly, by key: each fitted once however many ask for it, and kept while there is room. Whoever
 * waits for another caller's fit makes his own when that one fails, because it may have failed only by that caller leaving.
 */
import { LRUCache } from "lru-cache";
import type { LinearLayer } from "../pipelines/encoder-model.ts";

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
      await settledOrAborted(underWay, signal);
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

/** Waits for a promise of somebody else's, however it ends. */
function settledOrAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      signal.removeEventListener("abort", end);
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    promise.then(end, end);
  });
}
