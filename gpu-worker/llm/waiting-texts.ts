/** Texts without a slot, in the order of batching/slot-policy.ts, and how long each tenant has waited. */
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
  /** By start tag, then by arrival, then by choice. */
  readonly #texts: Text[] = [];
  /** The longest wait first. */
  readonly #backlogs = new Map<Tenant, Backlog>();

  /** @param waitMsMax a tenant of which nothing got a slot for so long goes first */
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
    if (served !== null || backlog.waiting === 0) this.#backlogs.delete(tenant);
    if (backlog.waiting === 0) return;
    if (served !== null) backlog.since = served.now;
    this.#backlogs.set(tenant, backlog);
  }

  /** The first `count`, one overdue before all others. */
  first(count: number, now: number): Candidate[] {
    const overdue = this.#overdue(now);
    const others = this.#texts.filter((text) => text !== overdue?.text);
    const rest = others.slice(0, count).map((text) => ({ text, overdueSince: null }));
    return [...(overdue === null ? [] : [overdue]), ...rest].slice(0, count);
  }

  #overdue(now: number): Candidate | null {
    const [longest] = this.#backlogs;
    if (longest === undefined) return null;
    const [tenant, { since }] = longest;
    if (now - since <= this.#waitMsMax) return null;
    const text = this.#texts.find(({ generation }) => generation.tenant === tenant);
    return text === undefined ? null : { text, overdueSince: since };
  }
}

function inOrder(a: Text, b: Text): number {
  const { startTags, arrival } = a.generation;
  const other = b.generation;
  return startTags.first - other.startTags.first || arrival - other.arrival || a.choice - b.choice;
}
