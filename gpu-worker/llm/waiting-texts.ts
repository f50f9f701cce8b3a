/** Texts without a slot, in order of arrival, and how long each tenant has waited. */
import type { Tenant } from "../batching/fair-queueing.ts";
import type { Text } from "./text.ts";

/** What waits of one tenant. */
type Backlog = {
  waiting: number;
  /** Milliseconds: when its first came, or something of it last got a slot. */
  since: number;
};

export type Candidate = { text: Text; overdueSince: number | null };

export class WaitingTexts {
  readonly #waitMsMax: number;
  /** By arrival, then by choice. */
  readonly #texts: Text[] = [];
  readonly #backlogs = new Map<Tenant, Backlog>();

  /** @param waitMsMax a tenant of which nothing got a slot for so long is overdue */
  constructor(waitMsMax: number) {
    this.#waitMsMax = waitMsMax;
  }

  get size(): number {
    return this.#texts.length;
  }

  [Symbol.iterator](): IterableIterator<Text> {
    return this.#texts.values();
  }

  add(text: Text, now: number): void {
    const { tenant } = text.generation;
    const after = this.#texts.findLastIndex((other) => inOrder(other, text) <= 0);
    this.#texts.splice(after + 1, 0, text);
    const backlog = this.#backlogs.get(tenant) ?? { waiting: 0, since: now };
    backlog.waiting += 1;
    this.#backlogs.set(tenant, backlog);
  }

  /** @param served it got a slot */
  delete(text: Text, served: { now: number } | null = null): void {
    const at = this.#texts.indexOf(text);
    if (at === -1) return;
    this.#texts.splice(at, 1);
    const { tenant } = text.generation;
    const backlog = this.#backlogs.get(tenant);
    if (backlog === undefined) return;
    backlog.waiting -= 1;
    if (backlog.waiting === 0) this.#backlogs.delete(tenant);
    else if (served !== null) backlog.since = served.now;
  }

  /** The first `count` of each tenant; the very first of one that is overdue says so. */
  firstOfEach(count: number, now: number): Candidate[] {
    const taken = new Map<Tenant, number>();
    const candidates: Candidate[] = [];
    for (const text of this.#texts) {
      const { tenant } = text.generation;
      const before = taken.get(tenant) ?? 0;
      if (before >= count) continue;
      taken.set(tenant, before + 1);
      const overdueSince = before === 0 ? this.#overdueSince(tenant, now) : null;
      candidates.push({ text, overdueSince });
    }
    return candidates;
  }

  #overdueSince(tenant: Tenant, now: number): number | null {
    const { since = now } = this.#backlogs.get(tenant) ?? {};
    return now - since > this.#waitMsMax ? since : null;
  }
}

function inOrder(a: Text, b: Text): number {
  return a.generation.arrival - b.generation.arrival || a.choice - b.choice;
}
