/**
 * The run stage of every encoder task: one batch of token sequences through the model. Rows are padded to the longest,
 * or some more, with zeros that the attention mask hides; what comes back of padding is left out.
 */
import { int64, type Tensor } from "../tensor/tensor.ts";
import type { EncoderModel } from "./encoder-model.ts";
import type { EncoderRow, RowResult } from "./encoder-row.ts";
import type { EncoderSession, OutputName } from "./encoder-session.ts";
import { groupTokens } from "./lora-groups.ts";

/** Without limits, rows are padded to the longest and no more. */
type Runnable = Pick<EncoderModel, "session"> & Partial<Pick<EncoderModel, "limits">>;

type Preparable = Partial<Pick<EncoderModel, "limits">> & {
  readonly session: Pick<EncoderSession, "inputs" | "groupOverheadRows">;
};

/** A batch that could run at once. */
export type PreparedRows = {
  readonly rows: readonly EncoderRow[];
  /** Tokens each row is padded to. */
  readonly sequence: number;
  readonly outputs: readonly OutputName[];
  readonly feeds: Record<string, Tensor>;
};

/** Each row's outputs, in order. Rows of a batch may ask for different ones. */
export function runRows(
  rows: readonly EncoderRow[],
  model: Runnable,
  signal: AbortSignal,
): Promise<RowResult[]> {
  return runPrepared(prepareRows(rows, model), model, signal);
}

/** The JavaScript that comes before a run, so that it can be done while another batch runs. */
export function prepareRows(
  rows: readonly EncoderRow[],
  { session, limits }: Preparable,
): PreparedRows {
  const longest = rows.reduce((most, row) => Math.max(most, row.ids.length), 0);
  const sequence = paddedLength(longest, limits?.maxTokens ?? longest);
  const outputs = new Set<OutputName>();
  for (const row of rows) for (const name of row.outputs) outputs.add(name);
  const feeds: Record<string, Tensor> = {};
  for (const { name } of session.inputs) {
    const make = feedMakers[name];
    if (make !== undefined) feeds[name] = make(rows, sequence);
  }
  if (session.groupOverheadRows !== undefined) {
    Object.assign(feeds, groupFeeds(rows, sequence, session.groupOverheadRows));
  }
  return { rows, sequence, outputs: [...outputs], feeds };
}

/** @returns each row's outputs, in order */
export async function runPrepared(
  { rows, sequence, outputs, feeds }: PreparedRows,
  { session }: Runnable,
  signal: AbortSignal,
): Promise<RowResult[]> {
  const tensors = await session.run(feeds, { outputs: [...outputs], signal });
  const parts = outputs.map((name) => {
    const tensor = tensors[name];
    if (tensor?.dtype !== "float32") {
      throw new TypeError(`the model gave no float32 output ${name}`);
    }
    const take = name === "logits" && "positions" in feeds ? takeMasked : takerOf(name, tensor);
    return { name, of: take(tensor, { rows, sequence }) };
  });
  return rows.map((row, index) => {
    const result: RowResult = {};
    for (const { name, of } of parts) if (row.outputs.includes(name)) result[name] = of(index);
    return result;
  });
}

type Batch = Pick<PreparedRows, "rows" | "sequence">;

/** By input of the graph. */
const feedMakers: Readonly<
  Record<string, (rows: readonly EncoderRow[], sequence: number) => Tensor>
> = {
  input_ids: (rows, sequence) => grid(rows, sequence, (row) => row.ids),
  token_type_ids: (rows, sequence) => grid(rows, sequence, (row) => row.typeIds),
  word_shapes: (rows, sequence) => grid(rows, sequence, (row) => row.shapes),
  attention_mask(rows, sequence) {
    const data = new BigInt64Array(rows.length * sequence);
    for (const [row, { ids }] of rows.entries()) {
      data.fill(1n, row * sequence, row * sequence + ids.length);
    }
    return { dtype: "int64", shape: [rows.length, sequence], data };
  },
  pooling_mask(rows, sequence) {
    const data = new BigInt64Array(rows.length * sequence);
    for (const [row, { ids, unpooled = 0 }] of rows.entries()) {
      data.fill(1n, row * sequence + unpooled, row * sequence + ids.length);
    }
    return { dtype: "int64", shape: [rows.length, sequence], data };
  },
  positions(rows, sequence) {
    const count = rows.reduce((sum, row) => sum + (row.positions?.length ?? 0), 0);
    const data = new BigInt64Array(count);
    let at = 0;
    for (const [row, { positions = [] }] of rows.entries()) {
      for (const position of positions) data[at++] = BigInt(row * sequence + position);
    }
    return { dtype: "int64", shape: [count], data };
  },
};

/** The rows of tokens by adapter. `lora_slots` names adapters as the session counts them. */
function groupFeeds(
  rows: readonly EncoderRow[],
  sequence: number,
  overheadRows: number,
): Record<string, Tensor> {
  const texts = rows.map(({ ids, adapter = 0 }) => ({ tokens: ids.length, adapter }));
  const groups = groupTokens(texts, sequence, overheadRows);
  const { adapters, members, length } = groups;
  const count = adapters.length / members;
  return {
    lora_slots: int64([count, members], adapters),
    lora_cells: { dtype: "int64", shape: [count, length], data: groups.cells },
    lora_places: { dtype: "int64", shape: [count, length], data: groups.places },
    lora_rows: { dtype: "int64", shape: [rows.length * sequence], data: groups.rows },
  };
}

/** int64 [rows, sequence], with zeros where a row has no value. */
function grid(
  rows: readonly EncoderRow[],
  sequence: number,
  valuesOf: (row: EncoderRow) => readonly number[] | undefined,
): Tensor {
  const data = new BigInt64Array(rows.length * sequence);
  // Through 32-bit halves, low half first, because a BigInt per token costs more than the copy itself.
  const halves = new Int32Array(data.buffer);
  for (const [row, each] of rows.entries()) {
    const values = valuesOf(each);
    const from = row * sequence * 2;
    const length = values?.length ?? 0;
    for (let at = 0; at < length; at += 1) halves[from + at * 2] = values?.[at] ?? 0;
  }
  return { dtype: "int64", shape: [rows.length, sequence], data };
}

/** Gives one row's part of an output, copied. */
type Take = (
  tensor: Tensor<"float32">,
  batch: Batch,
) => (index: number) => Float32Array<ArrayBuffer>;

function takerOf(name: OutputName, { shape }: Tensor): Take {
  const perToken = shape.length === 3 || name.endsWith("_logits");
  return perToken ? takeTokens : takeRow;
}

/** [rows, width]. */
const takeRow: Take = ({ data }, { rows }) => {
  const width = data.length / rows.length;
  return (index) => data.slice(index * width, (index + 1) * width);
};

/**
 * [rows, sequence, width] or [rows, sequence]: without the padding, or at the row's positions alone where it names
 * some.
 */
const takeTokens: Take = ({ data }, { rows, sequence }) => {
  const width = data.length / (rows.length * sequence);
  return (index) => {
    const from = index * sequence * width;
    const { ids = [], positions } = rows[index] ?? {};
    if (positions === undefined) return data.slice(from, from + ids.length * width);
    const taken = new Float32Array(positions.length * width);
    for (const [at, position] of positions.entries()) {
      const start = from + position * width;
      taken.set(data.subarray(start, start + width), at * width);
    }
    return taken;
  };
};

/** [positions of all rows, width]. */
const takeMasked: Take = ({ data, shape }, { rows }) => {
  const width = shape[1] ?? 0;
  let end = 0;
  const ends = rows.map(({ positions = [] }) => (end += positions.length * width));
  return (index) => data.slice(ends[index - 1] ?? 0, ends[index]);
};

/**
 * Lengths that batches are padded to. Buffers of many sizes fragment the arena that ONNX Runtime takes memory from, so
 * lengths are rounded up to eight steps an octave: 16, 18, 20 … 32, 36, 40 … . A row gets at most an eighth longer,
 * some 4 % on average, and in graphs whose layers leave padding out, only attention computes anything of that.
 * @returns the first step from `length` on, but no more than `most`, which is at least `length`
 */
export function paddedLength(length: number, most: number): number {
  const step = Math.max(1, 2 ** (Math.floor(Math.log2(Math.max(1, length - 1))) - 3));
  return Math.min(Math.ceil(length / step) * step, Math.max(length, most));
}
