/**
 * Classifiers fitted on the fly, by key: each fitted once however many ask for it, and kept while there is room. Whoever
 * waits for another caller's fit makes his own when that one fails, because it may have failed only by that caller leaving.
 */
import { LRUCache } from "lru-cache";
import type { LinearHead } from "../pipelines/encoder-model.ts";

const bytesMax = 64 * 2 ** 20;

export class FittedHeads {
  readonly #kept = new LRUCache<string, LinearHead>({
    maxSize: bytesMax,
    sizeCalculation: ({ weight, bias }) => weight.byteLength + bias.byteLength,
  });
  readonly #underWay = new Map<string, Promise<LinearHead>>();

  async get(key: string, fit: () => Promise<LinearHead>): Promise<LinearHead> {
    for (;;) {
      const kept = this.#kept.get(key);
      if (kept !== undefined) return kept;
      const underWay = this.#underWay.get(key);
      if (underWay === undefined) return this.#fit(key, fit);
      await Promise.allSettled([underWay]);
    }
  }

  async #fit(key: string, fit: () => Promise<LinearHead>): Promise<LinearHead> {
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
