/**
 * A decoder's session as one that reads whole texts: `input_ids` and `attention_mask` int64 [batch, sequence], `logits`
 * f32 [batch, sequence, vocabulary], zeros where the mask has none. Texts may be padded on either side.
 */
import { emptyCache, noPiece } from "../model/decoder-feeds.ts";
import type { RunOptions, Session, ValueInfo } from "../runtime/session.ts";
import { elementCount } from "../tensor/shape.ts";
import { int64, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";

const batch = ["batch", "sequence"];
const inputs: readonly ValueInfo[] = ["input_ids", "attention_mask"].map((name) => ({
  name,
  dtype: "int64",
  shape: batch,
}));

type Text = {
  readonly row: number;
  /** The first column of the mask that has a token. */
  readonly start: number;
  readonly ids: readonly bigint[];
};

function integers(feeds: Record<string, Tensor>, name: string) {
  const feed = feeds[name];
  const [rows, columns] = feed?.shape ?? [];
  if (feed?.dtype === "int64" && rows !== undefined && columns !== undefined) {
    return Array.from({ length: rows }, (_, row) =>
      feed.data.subarray(row * columns, (row + 1) * columns),
    );
  }
  throw new TypeError(`${name} is int64 [batch, sequence]`);
}

function textsOf(feeds: Record<string, Tensor>): Text[] {
  const masks = integers(feeds, "attention_mask");
  return integers(feeds, "input_ids").flatMap((ids, row): Text[] => {
    const mask = masks[row] ?? new BigInt64Array();
    const [start, end] = [mask.indexOf(1n), mask.lastIndexOf(1n) + 1];
    if (start < 0) return [];
    if (mask.subarray(start, end).includes(0n)) {
      throw new Error(`attention_mask: row ${row} has gaps between its tokens`);
    }
    return [{ row, start, ids: Array.from(ids.subarray(start, end)) }];
  });
}

/** All texts from their beginning, padded on the right. */
function feedsOf(session: Session, texts: readonly Text[]): Record<string, Tensor> {
  const longest = Math.max(...texts.map(({ ids }) => ids.length));
  const padded = texts.flatMap(({ ids }) => [
    ...ids,
    ...Array.from({ length: longest - ids.length }, () => 0n),
  ]);
  const asked = texts.flatMap(({ ids }, at) => ids.map((_, token) => at * longest + token));
  const lengths = Int32Array.from(texts, ({ ids }) => ids.length);
  return {
    input_ids: int64([texts.length, longest], padded),
    lengths: tensor("int32", [texts.length], lengths),
    total_length: tensor("int32", [], Int32Array.of(longest)),
    positions: int64([asked.length], asked),
    ...noPiece,
    ...emptyCache(session, texts.length, longest),
  };
}

async function run(
  session: Session,
  feeds: Record<string, Tensor>,
  options: RunOptions = {},
): Promise<Record<string, Tensor>> {
  const texts = textsOf(feeds);
  const { logits } = await session.run(feedsOf(session, texts), {
    ...options,
    outputs: ["logits"],
  });
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives logits");
  const [, vocabulary = 0] = logits.shape;
  const [rows = 0, columns = 0] = feeds["input_ids"]?.shape ?? [];
  const shape = [rows, columns, vocabulary];
  const all = tensor("float32", shape, new Float32Array(elementCount(shape)));
  let at = 0;
  for (const { row, start, ids } of texts) {
    const given = logits.data.subarray(at * vocabulary, (at + ids.length) * vocabulary);
    all.data.set(given, (row * columns + start) * vocabulary);
    at += ids.length;
  }
  return { logits: all };
}

export function readingWholeTexts(session: Session): Session {
  const vocabulary = session.outputs.find(({ name }) => name === "logits")?.shape[1] ?? "";
  return {
    ...session,
    inputs,
    outputs: [{ name: "logits", dtype: "float32", shape: [...batch, vocabulary] }],
    run: (feeds, options) => run(session, feeds, options),
  };
}
