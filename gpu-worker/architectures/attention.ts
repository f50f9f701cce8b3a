/**
 * Self-attention of an encoder, in standard operators, over the rows of a whole grid of texts (token-rows.ts). ONNX
 * Runtime fuses each Transpose below but the last into the product that reads it, so nothing is copied before the
 * result. Its fused attention takes twice as long (measured: 1.1 against 2.1 ms a layer, 32 texts of 28 tokens).
 *
 * Scores grow with the square of the tokens: where they would be too many at once, the queries take turns.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";

/** The queries whose scores are computed at a time. */
export type Turn = {
  /** [batch, heads, rows, width]. */
  readonly queries: Value;
  /** Position of the first, int64 [1]. */
  readonly start: Value;
  /** How many, int64 [1]. */
  readonly rows: Value;
};

/** What is added to the scores. */
export type ScoreTerms = {
  /** f32 [batch, heads, sequence, sequence], computed in `graph`. */
  whole(graph: GraphBuilder): Value;
  /**
   * Of some queries, [batch, heads, rows, sequence]; what serves all turns is computed in `graph`, the rest in `inner`.
   */
  turns(graph: GraphBuilder): (inner: GraphBuilder, turn: Turn) => Value;
};

export type AttentionInputs = {
  /** [queries·batch, heads·width], scaled by 1/√width. */
  readonly query: Value;
  /** [sequence·batch, heads·width] each. */
  readonly key: Value;
  readonly value: Value;
  /** f32 [batch, 1, 1, sequence]: 0 for a token, far below 0 for padding. */
  readonly mask: Value;
  /** int64 [4]: sequence, batch, heads, width. */
  readonly shape: Value;
  /** The same of the queries: all tokens', or fewer where they are all computed at once and nothing is added. */
  readonly queryShape: Value;
  /** Null for nothing. */
  readonly terms: ScoreTerms | null;
  /** Null: all queries at once, however many. */
  readonly turns: QueryTurns | null;
  /** Of the probabilities, where all queries are computed at once. */
  readonly dropout: (probabilities: Value) => Value;
};

/** How the queries of a batch take turns, computed once for all layers. All turns are alike in size. */
export type QueryTurns = {
  /** bool: whether one turn is not enough. */
  readonly several: Value;
  /** int64, how many. */
  readonly count: Value;
  /** Queries of a turn, int64 [1]. The last turn begins earlier where they do not divide evenly. */
  readonly rows: Value;
  /** Each query's row among those of all turns, int64 [sequence]. */
  readonly rowOfQuery: Value;
};

const bytesPerScore = 4;

/** value / by, rounded up. */
function upwards(value: Value, by: Value): Value {
  return value.add(by).sub(1).div(by);
}

/**
 * @param gridShape int64 [2]: sequence, batch
 * @param bytes of the scores of a turn, about: it has one query at least
 */
export function planTurns(
  graph: GraphBuilder,
  gridShape: Value,
  { heads, bytes }: { heads: number; bytes: number },
): QueryTurns {
  const at = (axis: number) => gridShape.gather(graph.scalar("int64", axis), 0);
  const [sequence, batch] = [at(0), at(1)];
  const perQuery = batch.mul(sequence).mul(heads * bytesPerScore);
  const wanted = upwards(perQuery.mul(sequence), graph.scalar("int64", bytes)).op("Min", [
    sequence,
  ]);
  const rows = upwards(sequence, wanted);
  const count = upwards(sequence, rows);
  const queries = graph.op("Range", [graph.scalar("int64", 0), sequence, graph.scalar("int64", 1)]);
  const isLast = queries.op("GreaterOrEqual", [count.sub(1).mul(rows)]);
  const repeated = count.mul(rows).sub(sequence);
  return {
    several: count.op("Greater", [graph.scalar("int64", 1)]),
    count,
    rows: rows.reshape([1]),
    rowOfQuery: queries.add(isLast.cast("int64").mul(repeated)),
  };
}

/** The context of each query, [queries·batch, heads·width]. */
export function attend(graph: GraphBuilder, inputs: AttentionInputs): Value {
  const { turns } = inputs;
  if (turns === null) return attendAtOnce(graph, inputs);
  return graph.op("If", [turns.several], {
    then_branch: graph.body("turns", [], (inner) => [attendInTurns(inner, inputs, turns)]),
    else_branch: graph.body("at-once", [], (inner) => [attendAtOnce(inner, inputs)]),
  });
}

function attendAtOnce(graph: GraphBuilder, inputs: AttentionInputs): Value {
  const { query, key, value, mask, shape, queryShape, terms, dropout } = inputs;
  const hidden = Number(query.shape[1]);
  const split = (rows: Value, as = shape) => graph.outer(rows).op("Reshape", [as]);
  const products = split(query, queryShape)
    .transpose([1, 2, 0, 3])
    .matMul(split(key).transpose([1, 2, 3, 0]));
  const scores = (terms === null ? products : products.add(terms.whole(graph))).add(mask);
  return dropout(scores.softmax(-1))
    .matMul(split(value).transpose([1, 2, 0, 3]))
    .transpose([2, 0, 1, 3])
    .reshape([-1, hidden]);
}

function attendInTurns(
  graph: GraphBuilder,
  { query, key, value, mask, shape, terms }: AttentionInputs,
  { count, rows, rowOfQuery }: QueryTurns,
): Value {
  const split = (all: Value) => graph.outer(all).op("Reshape", [shape]);
  const queries = split(query).transpose([1, 2, 0, 3]);
  const keys = split(key).transpose([1, 2, 3, 0]);
  const values = split(value).transpose([1, 2, 0, 3]);
  const sizes = graph.outer(shape);
  const sequence = sizes.slice(0, 0, 1);
  const termsOf = terms?.turns(graph) ?? null;
  const turn = [
    { dtype: "int64", shape: [] },
    { dtype: "bool", shape: [] },
  ] as const;
  const body = graph.body("turn", turn, (inner, [index, again]) => {
    if (index === undefined || again === undefined) throw new TypeError("a loop has both");
    const last = inner.outer(sequence).sub(rows);
    const start = index.reshape([1]).mul(rows).op("Min", [last]);
    const cut = [start, start.add(rows), inner.integers([2])];
    const some = inner.outer(queries).op("Slice", cut);
    const products = some.matMul(keys);
    const term = termsOf?.(inner, { queries: some, start, rows });
    const context = (term === undefined ? products : products.add(term))
      .add(mask)
      .softmax(-1)
      .matMul(values)
      .transpose([2, 0, 1, 3]);
    return [again.op("Identity"), context];
  });
  const always = graph.scalar("bool", 1);
  const joined = graph.op("Concat", [graph.integers([-1]), sizes.slice(0, 1, 4)], { axis: 0 });
  return graph
    .op("Loop", [count, always], { body })
    .op("Reshape", [joined])
    .gather(rowOfQuery, 0)
    .reshape([-1, Number(query.shape[1])]);
}
