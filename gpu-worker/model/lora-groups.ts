/**
 * The tokens of a batch in groups of one adapter or two each, all equally long, as architectures/lora-layers.ts takes
 * them. Pure. A group that its adapters' tokens do not fill repeats a token, which is computed for nothing in every
 * layer; and each group costs copies of its adapters. So groups are made as makes both least, and rows are at most
 * thrice the tokens. Two to a group fill groups whatever the numbers of tokens, as Walker's alias method fills a table
 * of columns (https://doi.org/10.1145/355744.355749).
 */

import type { Tensor } from "../tensor/tensor.ts";

/** A text of the batch. */
export type LoraText = {
  readonly tokens: number;
  /** What its tokens are grouped by. */
  readonly adapter: number;
};

export type LoraGroups = {
  /** Adapters of each group, [groups, members]. */
  readonly adapters: readonly number[];
  /** Adapters that a group has room for. */
  readonly members: number;
  /** Rows of a group. */
  readonly length: number;
  /** Cell of the grid that each row is of, [groups, length]. */
  readonly cells: BigInt64Array<ArrayBuffer>;
  /** Which of its group's adapters each row is of, [groups, length]. */
  readonly places: BigInt64Array<ArrayBuffer>;
  /** Row of each cell of the grid [sequence, batch]; of padding some row. */
  readonly rows: BigInt64Array<ArrayBuffer>;
};

/** Tokens of an adapter. */
type Share = { readonly adapter: number; readonly tokens: number };
/** What of it is of whom. */
type Group = readonly Share[];
type Split = { readonly length: number; readonly groups: readonly Group[] };

/** An adapter's tokens are in so many groups at most, of those lengths that are tried. */
const groupsPerAdapterMax = 16;

function groupsOf(shares: readonly Share[], length: number): number {
  let groups = 0;
  for (const { tokens } of shares) groups += Math.ceil(tokens / length);
  return groups;
}

const totalOf = (shares: readonly Share[]) => shares.reduce((sum, { tokens }) => sum + tokens, 0);

/** The length with which groups of one adapter each cost least. */
function lengthAlone(shares: readonly Share[], overheadRows: number): number {
  const candidates = new Set(
    shares.flatMap(({ tokens }) =>
      Array.from({ length: groupsPerAdapterMax }, (_, at) => Math.ceil(tokens / (at + 1))),
    ),
  );
  const total = totalOf(shares);
  // As long as an adapter has tokens in the mean, there are no more full groups than adapters, and one more of each.
  const mean = Math.ceil(total / shares.length);
  const rowsMax = 2 * total + shares.length;
  let best = { length: mean, cost: Infinity };
  for (const length of candidates.add(mean)) {
    const groups = groupsOf(shares, length);
    const cost = groups * (length + overheadRows);
    if (groups * length <= rowsMax && cost < best.cost) best = { length, cost };
  }
  return best.length;
}

/** Groups that one adapter fills, and what of each adapter is left. */
function partFull(shares: readonly Share[], length: number): { full: Group[]; left: Share[] } {
  const full: Group[] = [];
  const left: Share[] = [];
  for (const { adapter, tokens } of shares) {
    for (let from = length; from <= tokens; from += length)
      full.push([{ adapter, tokens: length }]);
    if (tokens % length > 0) left.push({ adapter, tokens: tokens % length });
  }
  return { full, left };
}

function alone(shares: readonly Share[], length: number): Split {
  const { full, left } = partFull(shares, length);
  return { length, groups: [...full, ...left.map((share) => [share])] };
}

/** The fewest tokens are given company by the most, of which the rest is the fewest then. */
function inPairs(shares: readonly Share[], length: number): Split {
  const { full: groups, left } = partFull(shares, length);
  left.sort((a, b) => a.tokens - b.tokens);
  for (let least = left.shift(); least !== undefined; least = left.shift()) {
    const most = left.pop();
    if (most === undefined) {
      groups.push([least]);
      continue;
    }
    const joined = Math.min(most.tokens, length - least.tokens);
    groups.push([least, { ...most, tokens: joined }]);
    if (joined < most.tokens) left.unshift({ ...most, tokens: most.tokens - joined });
  }
  return { length, groups };
}

/** Lengths with which pairs may fill as many groups as there are adapters, down to half as many. */
function pairLengths(shares: readonly Share[]): number[] {
  const total = totalOf(shares);
  const counts = shares.map(({ tokens }) => tokens).toSorted((a, b) => a - b);
  const sums = counts.map((tokens, at) => tokens + (counts.at(-1 - at) ?? 0));
  const least = Math.ceil(shares.length / 2);
  const even = Array.from({ length: shares.length - least + 1 }, (_, at) =>
    Math.ceil(total / (least + at)),
  );
  return [...even, Math.max(...sums)];
}

const membersOf = ({ groups }: Split) => Math.max(...groups.map((group) => group.length));

function cheapest(shares: readonly Share[], overheadRows: number): Split {
  const costOf = (split: Split) =>
    split.groups.length * (split.length + membersOf(split) * overheadRows);
  let best = alone(shares, lengthAlone(shares, overheadRows));
  if (shares.length === 1) return best;
  for (const length of pairLengths(shares)) {
    const split = inPairs(shares, length);
    // So that copies are bounded as those of groups of one are.
    if (split.groups.length > shares.length) continue;
    if (costOf(split) < costOf(best)) best = split;
  }
  return best;
}

function sharesOf(texts: readonly LoraText[]): Share[] {
  const counts = new Map<number, number>();
  for (const { adapter, tokens } of texts) {
    if (tokens === 0) continue;
    counts.set(adapter, (counts.get(adapter) ?? 0) + tokens);
  }
  return Array.from(counts, ([adapter, tokens]) => ({ adapter, tokens }));
}

/** Of each row which columns are its adapter's, each of its group's having `rank`: bool [groups, length, columns]. */
export function ownColumns(places: Tensor, members: number, rank: number): Tensor<"bool"> {
  const columns = members * rank;
  const own = new Uint8Array(places.data.length * columns);
  for (const [row, place] of places.data.entries()) {
    const from = row * columns + Number(place) * rank;
    own.fill(1, from, from + rank);
  }
  return { dtype: "bool", shape: [...places.shape, columns], data: own };
}

/**
 * @param texts with at least one token in all
 * @param sequence tokens that each is padded to
 * @param overheadRows what a group costs for each adapter beside its rows, in rows
 */
export function groupTokens(
  texts: readonly LoraText[],
  sequence: number,
  overheadRows: number,
): LoraGroups {
  const split = cheapest(sharesOf(texts), overheadRows);
  const { length, groups } = split;
  const members = membersOf(split);
  const places = new BigInt64Array(groups.length * length);
  /** Rows of each adapter, in order. */
  const free = new Map<number, number[]>();
  for (const [at, group] of groups.entries()) {
    let row = at * length;
    for (const [place, { adapter, tokens }] of group.entries()) {
      places.fill(BigInt(place), row, row + tokens);
      const own = free.get(adapter) ?? [];
      free.set(adapter, own);
      for (const end = row + tokens; row < end; row += 1) own.push(row);
    }
  }
  return {
    adapters: groups.flatMap((group) =>
      Array.from({ length: members }, (_, place) => (group[place] ?? group[0])?.adapter ?? 0),
    ),
    members,
    length,
    places,
    ...seat(texts, sequence, { free, count: places.length }),
  };
}

/** @param free rows that each adapter's tokens take, of `count` in all */
function seat(
  texts: readonly LoraText[],
  sequence: number,
  {
    free,
    count,
  }: { readonly free: ReadonlyMap<number, readonly number[]>; readonly count: number },
): Pick<LoraGroups, "cells" | "rows"> {
  const cells = new BigInt64Array(count);
  const rows = new BigInt64Array(texts.length * sequence);
  const taken = new Map<number, number>();
  for (const [index, { tokens, adapter }] of texts.entries()) {
    const first = taken.get(adapter) ?? 0;
    taken.set(adapter, first + tokens);
    for (let position = 0; position < tokens; position += 1) {
      const row = free.get(adapter)?.[first + position] ?? 0;
      const cell = position * texts.length + index;
      cells[row] = BigInt(cell);
      rows[cell] = BigInt(row);
    }
  }
  return { cells, rows };
}
