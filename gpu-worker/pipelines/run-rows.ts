/**
 * The run stage of every encoder task: one batch of token sequences through the model. Rows are padded to the longest with
 * zeros that the attention mask hides; what comes back of padding is left out.
 */
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel, EncoderSession, OutputName } from "./encoder-model.ts";
import type { EncoderRow, RowResult } from "./pipeline.ts";

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
  model: Pick<EncoderModel, "session" | "head">,
  signal: AbortSignal,
): Promise<RowResult[]> {
  return runPrepared(prepareRows(rows, model), model, signal);
}

/** The JavaScript that comes before a run, so that it can be done while another batch runs. */
export function prepareRows(
  rows: readonly EncoderRow[],
  model: Pick<EncoderModel, "session">,
): PreparedRows {
  const sequence = longest(rows);
  const outputs = [...new Set(rows.flatMap((row) => row.outputs))];
  return { rows, sequence, outputs, feeds: feedsOf(rows, sequence, model.session) };
}

/** @returns each row's outputs, in order */
export async function runPrepared(
  { rows, sequence, outputs, feeds }: PreparedRows,
  model: Pick<EncoderModel, "session" | "head">,
  signal: AbortSignal,
): Promise<RowResult[]> {
  const result = await model.session.run(feeds, { outputs: [...outputs], signal });
  const batch = { rows, sequence, masked: model.head.name === "masked-lm" };
  return rows.map((row, index) =>
    Object.fromEntries(row.outputs.map((name) => [name, partOf(result, name, batch, index)])),
  );
}

type Batch = { rows: readonly EncoderRow[]; sequence: number; masked: boolean };

function longest(rows: readonly EncoderRow[]): number {
  return rows.reduce((most, row) => Math.max(most, row.ids.length), 0);
}

function feedsOf(
  rows: readonly EncoderRow[],
  sequence: number,
  { inputs }: EncoderSession,
): Record<string, Tensor> {
  const shape = [rows.length, sequence];
  const made: Record<string, Tensor> = {
    input_ids: grid(
      shape,
      rows.map(({ ids }) => ids),
    ),
    attention_mask: grid(
      shape,
      rows.map(({ ids }) => ids.map(() => 1)),
    ),
    token_type_ids: grid(
      shape,
      rows.map(({ typeIds = [] }) => typeIds),
    ),
    positions: positionsOf(rows, sequence),
  };
  return Object.fromEntries(
    inputs.flatMap(({ name }) => {
      const feed = made[name];
      return feed === undefined ? [] : [[name, feed]];
    }),
  );
}

function grid(shape: [number, number] | number[], rows: (readonly number[])[]): Tensor {
  const [, sequence = 0] = shape;
  const data = new BigInt64Array(rows.length * sequence);
  // Through 32-bit halves, low half first, because a BigInt per token costs more than the copy itself.
  const halves = new Int32Array(data.buffer);
  for (const [row, values] of rows.entries()) {
    let at = row * sequence * 2;
    for (const value of values) {
      halves[at] = value;
      at += 2;
    }
  }
  return { dtype: "int64", shape, data };
}

function positionsOf(rows: readonly EncoderRow[], sequence: number): Tensor {
  const flat = rows.flatMap(({ positions = [] }, row) =>
    positions.map((position) => BigInt(row * sequence + position)),
  );
  return { dtype: "int64", shape: [flat.length], data: BigInt64Array.from(flat) };
}

function partOf(
  result: Record<string, Tensor>,
  name: OutputName,
  { rows, sequence, masked }: Batch,
  index: number,
): Float32Array {
  const output = result[name];
  if (output === undefined || output.dtype !== "float32") {
    throw new TypeError(`the model gave no float32 output ${name}`);
  }
  if (masked) {
    const width = output.shape[1] ?? 0;
    const before = rows.slice(0, index).reduce((sum, row) => sum + (row.positions?.length ?? 0), 0);
    const count = rows[index]?.positions?.length ?? 0;
    return output.data.slice(before * width, (before + count) * width);
  }
  const size = output.data.length / rows.length;
  const perToken = output.shape.length === 3 || name.endsWith("_logits");
  const kept = perToken ? (size / sequence) * (rows[index]?.ids.length ?? 0) : size;
  return output.data.slice(index * size, index * size + kept);
}
