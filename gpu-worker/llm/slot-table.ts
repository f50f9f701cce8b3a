/**
 * What is in each slot, and which slot a text gets: pure, knows no model. A text that has ended leaves its keys and
 * values to those that begin the same, until the slot or its memory is needed: what was used longest ago goes first.
 * Texts that run lie close together, because one batch is a row of neighbouring slots. Tenants share nothing: what one
 * asked cannot be told from how fast another is answered. Nor do adapters, which make other keys and values of the
 * same tokens.
 */
import type { Tenant } from "../batching/fair-queueing.ts";

/** Whose texts alone may go on from each other. */
export type SlotOwner = {
  readonly tenant: Tenant;
  /** 0: none. */
  readonly adapter: number;
};

export type SlotText = {
  readonly id: string;
  readonly owner: SlotOwner;
  /** Known ones; a slot holds keys and values of the first of them. */
  readonly tokens: readonly number[];
};

/** To be done in this order before the next run. */
export type SlotWork =
  | { do: "copy"; from: number; to: number; tokens: number }
  | { do: "discard"; slot: number };

type Slot = {
  /** Null: nothing of use. */
  owner: SlotOwner | null;
  tokens: readonly number[];
  computed: number;
  /** Tokens for which it has taken memory. */
  touched: number;
  /** Id of the text that runs in it; null: free. */
  text: string | null;
  /** Counts up. */
  usedAt: number;
};

/** A longer rest of another text is given back rather than kept for a text that may not grow into it. */
const restTokensMax = 256;

/** A shorter beginning, as many chats have in common, is computed in the time that its copy takes. */
const matchTokensMin = 8;

export class SlotTable {
  readonly #slots: Slot[];
  #uses = 0;

  constructor(slots: number) {
    this.#slots = Array.from({ length: slots }, () => ({
      owner: null,
      tokens: [],
      computed: 0,
      touched: 0,
      text: null,
      usedAt: 0,
    }));
  }

  /** How many of a text's first tokens a slot has. */
  cachedTokens({ owner, tokens }: Omit<SlotText, "id">): number {
    return this.#longestMatch(owner, tokens).tokens;
  }

  /** Gives a text that was admitted one of the free slots, of which there must be one. */
  place(text: SlotText, reuse = true): { slot: number; cachedTokens: number; work: SlotWork[] } {
    const match = reuse ? this.#longestMatch(text.owner, text.tokens) : { slot: null, tokens: 0 };
    // The last token is always computed: the next one is sampled from its row.
    const cachedTokens = Math.min(match.tokens, text.tokens.length - 1);
    const slot = this.#choose(match);
    const work: SlotWork[] = [];
    if (match.slot !== slot) {
      work.push(...this.#vacate(slot, match.slot));
      const chosen = this.#at(slot);
      if (chosen.touched > text.tokens.length + restTokensMax) work.push(this.#discard(slot));
      if (match.slot !== null && cachedTokens > 0) {
        this.#at(match.slot).usedAt = this.#nextUse();
        work.push({ do: "copy", from: match.slot, to: slot, tokens: cachedTokens });
      }
    }
    this.#fill(slot, text, cachedTokens);
    return { slot, cachedTokens, work };
  }

  /** Of a text that runs: so many of its tokens are computed. */
  computed(slot: number, tokens: number): void {
    const held = this.#at(slot);
    held.computed = tokens;
    held.touched = Math.max(held.touched, tokens);
    held.usedAt = this.#nextUse();
  }

  /** Of a text that runs: so many tokens are written to, the last of them perhaps for nothing. */
  touch(slot: number, tokens: number): void {
    const held = this.#at(slot);
    held.touched = Math.max(held.touched, tokens);
  }

  /**
   * Its text no longer runs. What it holds of its prompt is kept: keys and values of generated tokens were computed one
   * by one, and a prompt that holds them would be answered a little differently where they are found.
   */
  leave(slot: number, promptTokens: number): void {
    const held = this.#at(slot);
    held.text = null;
    held.computed = Math.min(held.computed, promptTokens);
    held.tokens = held.tokens.slice(0, held.computed);
  }

  /**
   * The batch of these slots: its first slot, and how many tokens each in it holds. Those between the others are
   * written to behind what they hold, for which there is always room.
   * @param rowsMin slots beside them are taken in up to so many; one behind the last of the table holds nothing
   */
  window(slots: readonly number[], rowsMin: number): { first: number; held: number[] } {
    let [first, last] = [Math.min(...slots), Math.max(...slots)];
    while (last - first + 1 < rowsMin) {
      if (first > 0 && this.#held(first - 1) < this.#held(last + 1)) first -= 1;
      else last += 1;
    }
    const held = Array.from({ length: last - first + 1 }, (_, at) => {
      const slot = this.#slots[first + at];
      if (slot !== undefined) slot.touched = Math.max(slot.touched, slot.computed + 1);
      return this.#held(first + at);
    });
    return { first, held };
  }

  #held(slot: number): number {
    return this.#slots[slot]?.computed ?? 0;
  }

  /**
   * Where too much lies between the slots of texts that run, the last of them moves into a gap.
   * @returns null: none moves
   */
  closeGap(): { text: string; to: number; work: SlotWork[] } | null {
    const running = this.#indexes((slot) => slot.text !== null);
    const [first = 0, last = -1] = [running[0], running.at(-1)];
    const gaps = last - first + 1 - running.length;
    if (gaps * 2 <= running.length) return null;
    const between = this.#indexes((slot, at) => slot.text === null && at > first && at < last);
    const to = this.#leastUseful(between);
    const moved = this.#at(last);
    if (to === null || moved.text === null || moved.owner === null) return null;
    const { text, owner, tokens, computed } = moved;
    const work = this.#vacate(to, null);
    work.push({ do: "copy", from: last, to, tokens: computed });
    this.#fill(to, { id: text, owner, tokens }, computed);
    Object.assign(moved, { owner: null, tokens: [], computed: 0, text: null });
    return { text, to, work };
  }

  /** Makes room: so many tokens fit, of texts that run with those they will have after the step. */
  shrink(tokensMax: number, lengthOf: (text: string) => number): SlotWork[] {
    const work: SlotWork[] = [];
    const held = (slot: Slot) =>
      Math.max(slot.touched, slot.text === null ? 0 : lengthOf(slot.text));
    let total = this.#slots.reduce((sum, slot) => sum + held(slot), 0);
    while (total > tokensMax) {
      const free = this.#indexes((slot) => slot.text === null && slot.touched > 0);
      const oldest = this.#leastUseful(free);
      if (oldest === null) break;
      total -= this.#at(oldest).touched;
      work.push(this.#discard(oldest));
    }
    return work;
  }

  #longestMatch(
    owner: SlotOwner,
    tokens: readonly number[],
  ): { slot: number | null; tokens: number } {
    let best: { slot: number | null; tokens: number } = { slot: null, tokens: 0 };
    for (const [index, slot] of this.#slots.entries()) {
      if (!isSame(slot.owner, owner) || slot.computed <= best.tokens) continue;
      const common = commonPrefix(slot.tokens, tokens, slot.computed);
      if (common > best.tokens && common >= matchTokensMin) best = { slot: index, tokens: common };
    }
    return best;
  }

  /** Near to the texts that run; there in the slot that matches, an empty one, or the one used longest ago. */
  #choose(match: { slot: number | null; tokens: number }): number {
    const running = this.#indexes((slot) => slot.text !== null);
    const [first, last] = [running[0], running.at(-1)];
    const distance = (at: number) =>
      first === undefined || last === undefined ? 0 : Math.max(first - at, at - last, 0);
    const free = this.#indexes((slot) => slot.text === null);
    const nearest = Math.min(...free.map(distance));
    const near = free.filter((at) => distance(at) === nearest);
    const others = near.filter((at) => at !== match.slot);
    if (match.slot !== null && near.includes(match.slot)) {
      const whole = match.tokens * 2 >= this.#at(match.slot).computed;
      if (whole || others.length === 0) return match.slot;
    }
    const chosen = this.#leastUseful(others);
    if (chosen === null) throw new RangeError("no slot is free");
    return chosen;
  }

  /** Saves what a slot holds in one that holds less of use. @param spared is not overwritten */
  #vacate(slot: number, spared: number | null): SlotWork[] {
    const { owner, tokens, computed } = this.#at(slot);
    const free = this.#indexes((other, at) => other.text === null && at !== spared);
    const to = this.#leastUseful(free);
    if (owner === null || computed === 0 || to === null || to === slot) return [];
    this.#fill(to, { id: "", owner, tokens }, computed);
    this.#at(to).text = null;
    this.#at(to).usedAt = this.#at(slot).usedAt;
    return [{ do: "copy", from: slot, to, tokens: computed }];
  }

  #fill(slot: number, { id, owner, tokens }: SlotText, computed: number): void {
    const touched = Math.max(this.#at(slot).touched, computed);
    this.#slots[slot] = { owner, tokens, computed, touched, text: id, usedAt: this.#nextUse() };
  }

  #discard(slot: number): SlotWork {
    Object.assign(this.#at(slot), { owner: null, tokens: [], computed: 0, touched: 0 });
    return { do: "discard", slot };
  }

  #leastUseful(slots: readonly number[]): number | null {
    const worth = (slot: number) => {
      const { computed, usedAt } = this.#at(slot);
      return computed === 0 ? 0 : usedAt;
    };
    const [first] = slots.toSorted((a, b) => worth(a) - worth(b) || a - b);
    return first ?? null;
  }

  #indexes(wanted: (slot: Slot, index: number) => boolean): number[] {
    return this.#slots.flatMap((slot, index) => (wanted(slot, index) ? [index] : []));
  }

  #at(slot: number): Slot {
    const held = this.#slots[slot];
    if (held === undefined) throw new RangeError(`there is no slot ${slot}`);
    return held;
  }

  #nextUse(): number {
    this.#uses += 1;
    return this.#uses;
  }
}

function isSame(a: SlotOwner | null, { tenant, adapter }: SlotOwner): boolean {
  return a !== null && a.tenant === tenant && a.adapter === adapter;
}

function commonPrefix(a: readonly number[], b: readonly number[], most: number): number {
  const end = Math.min(most, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at += 1;
  return at;
}
