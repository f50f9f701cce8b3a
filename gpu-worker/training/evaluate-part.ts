/** Batches of a part of the examples as the graphs read them, and what the evaluation graph makes of held-out rows. */
import type { Tensor } from "../tensor/tensor.ts";
import { evaluationBatches, rowFeeds } from "./batches.ts";
import type { TokenRow } from "./encode-texts.ts";
import { joined } from "./served-rows.ts";
import type { TrainStep } from "./train-step.ts";
import type { BatchData, BatchResults, JudgedPart } from "./training-task.ts";

type Part = { readonly rows: readonly TokenRow[]; readonly data: BatchData };
type Judged = Pick<JudgedPart, "rows" | "data">;

/** What the parameters as they are make of held-out rows, in their order, and the mean loss. */
export async function evaluateAll(
  step: Pick<TrainStep, "evaluate">,
  heldOut: Judged,
  { paddingId, batch }: { readonly paddingId: number; readonly batch: number },
): Promise<BatchResults> {
  const rows: Float32Array[] = [];
  let loss = 0;
  const lengths = heldOut.rows.map(({ ids }) => ids.length);
  const { data } = heldOut;
  for (const indices of evaluationBatches(lengths, batch)) {
    const results = await step.evaluate(feedsOf(heldOut, indices, { paddingId, draw: 0 }));
    const read = data.read?.(results, indices) ?? readRows(results, heldOut, indices.length);
    loss += read.loss;
    for (const [at, index] of indices.entries()) rows[index] = read.rows[at] ?? new Float32Array();
  }
  return { rows, loss };
}

/** @param count of the batch's rows */
function readRows(
  results: Readonly<Record<string, Tensor>>,
  { rows, data: { outputs = ["logits"] } }: Judged,
  count: number,
): BatchResults {
  const read = outputs.map((name) => rowsIn(results[name]));
  return {
    rows: Array.from({ length: count }, (_, row) =>
      joined(read.flatMap((each) => each[row] ?? [])),
    ),
    loss: (numberOf(results["loss"]) * count) / rows.length,
  };
}

export function feedsOf(
  { rows, data }: Part,
  indices: readonly number[],
  { paddingId, draw }: { readonly paddingId: number; readonly draw: number },
) {
  const own = data.rowsOf?.(indices, draw) ?? indices.flatMap((at) => rows[at] ?? []);
  const longest = Math.max(...own.map(({ ids }) => ids.length));
  return { ...rowFeeds(own, paddingId), ...data.feeds(indices, longest, draw) };
}

function numberOf(tensor: Tensor | undefined): number {
  return Number(tensor?.data[0] ?? NaN);
}

/** A batch's results, one after the other. */
function rowsIn(tensor: Tensor | undefined): Float32Array[] {
  if (tensor?.dtype !== "float32") throw new TypeError("an evaluation gives logits");
  const [rows = 0] = tensor.shape;
  const width = tensor.data.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    tensor.data.slice(row * width, (row + 1) * width),
  );
}
