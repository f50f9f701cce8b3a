/**
 * The tokens of a batch in groups of one adapter each, all equally long, as architectures/lora-layers.ts takes them.
 * Pure. A group that its adapter's tokens do not fill repeats a token, which is computed for nothing; and each group
 * costs a copy of its adapter. So groups are as long as makes both least, and rows are at most thrice the tokens.
 */

/** A text of the batch. */
export type LoraText = {
  readonly tokens: number;
  /** What its tokens are grouped by. */
  readonly adapter: number;
};

export type LoraGroups = {
  /** Adapter of each group. */
  readonly adapters: readonly number[];
  /** Rows of a group. */
  readonly length: number;
  /** Cell of the grid that each row is of, [groups, length]. */
  readonly cells: BigInt64Array<ArrayBuffer>;
  /** Row of each cell of the grid [sequence, batch]; of padding some row. */
  readonly rows: BigInt64Array<ArrayBuffer>;
};

/** An adapter's tokens are in so many groups at most, of those lengths that are tried. */
const groupsPerAdapterMax = 16;

function groupsOf(counts: Iterable<number>, length: number): number {
  let groups = 0;
  for (const tokens of counts) groups += Math.ceil(tokens / length);
  return groups;
}

/** @param counts tokens of each adapter, at least one each */
function groupLength(counts: readonly number[], overheadRows: number): number {
  const candidates = new Set(
    counts.flatMap((tokens) =>
      Array.from({ length: groupsPerAdapterMax }, (_, at) => Math.ceil(tokens / (at + 1))),
    ),
  );
  const total = counts.reduce((sum, tokens) => sum + tokens, 0);
  // As long as an adapter has tokens in the mean, there are no more full groups than adapters, and one more of each.
  const mean = Math.ceil(total / counts.length);
  const rowsMax = 2 * total + counts.length;
  let best = { length: mean, cost: Infinity };
  for (const length of candidates.add(mean)) {
    const groups = groupsOf(counts, length);
    const cost = groups * (length + overheadRows);
    if (groups * length <= rowsMax && cost < best.cost) best = { length, cost };
  }
  return best.length;
}

function countTokens(texts: readonly LoraText[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { adapter, tokens } of texts) {
    if (tokens === 0) continue;
    counts.set(adapter, (counts.get(adapter) ?? 0) + tokens);
  }
  return counts;
}

/**
 * @param texts with at least one token in all
 * @param sequence tokens that each is padded to
 * @param overheadRows what a group costs beside its rows, in rows
 */
export function groupTokens(
  texts: readonly LoraText[],
  sequence: number,
  overheadRows: number,
): LoraGroups {
  const counts = countTokens(texts);
  const length = groupLength([...counts.values()], overheadRows);
  const adapters: number[] = [];
  /** The next row of each adapter: its groups follow each other. */
  const next = new Map<number, number>();
  for (const [adapter, tokens] of counts) {
    next.set(adapter, adapters.length * length);
    for (let from = 0; from < tokens; from += length) adapters.push(adapter);
  }
  const cells = new BigInt64Array(adapters.length * length);
  const rows = new BigInt64Array(texts.length * sequence);
  for (const [index, { tokens, adapter }] of texts.entries()) {
    let row = next.get(adapter) ?? 0;
    for (let position = 0; position < tokens; position += 1, row += 1) {
      const cell = position * texts.length + index;
      cells[row] = BigInt(cell);
      rows[cell] = BigInt(row);
    }
    next.set(adapter, row);
  }
  return { adapters, length, cells, rows };
}
