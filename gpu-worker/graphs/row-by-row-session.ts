/**
 * A graph without an attention mask would take padding for tokens. Here it gets each row of a batch alone and without
 * its padding, and the results are put back where the batch has them. Slower than a graph that masks, and right.
 */
import type { Session } from "../runtime/session.ts";

type Feeds = Parameters<Session["run"]>[0];
type Outputs = Awaited<ReturnType<Session["run"]>>;
type Tensor = Feeds[string];

/** The first `length` values of a row of [batch, sequence] int64, as [1, length]. */
function cut(tensor: Tensor, row: number, length: number): Tensor {
  const { dtype, data, shape } = tensor;
  if (dtype !== "int64") throw new TypeError("inputs of a text are int64");
  const from = row * (shape[1] ?? 0);
  return { dtype, shape: [1, length], data: data.slice(from, from + length) };
}

/** Results of one row each, in order → those of the batch; past a row's end stay zeros. */
function join(rows: readonly (Tensor | undefined)[], sequence: number | null): Tensor {
  const [first] = rows;
  const [, length = 0, ...rest] = first?.shape ?? [];
  const shape = [rows.length, sequence ?? length, ...rest];
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  const data = new Float32Array(rows.length * width);
  for (const [row, tensor] of rows.entries()) {
    if (tensor?.dtype !== "float32") throw new TypeError("outputs of a text are float32");
    data.set(tensor.data, row * width);
  }
  return { dtype: "float32", shape, data };
}

/** @param perToken whether outputs have an axis of tokens, after the batch's */
export function rowByRowSession(session: Session, perToken: boolean): Session {
  const { provider, concurrency, inputs, outputs } = session;
  return {
    provider,
    concurrency,
    inputs: [...inputs, { name: "attention_mask", dtype: "int64", shape: ["batch", "sequence"] }],
    outputs,
    async run({ attention_mask: mask, ...feeds }, options) {
      if (mask?.dtype !== "int64") throw new TypeError("attention_mask is int64");
      const [batch = 0, sequence = 0] = mask.shape;
      const results: Outputs[] = [];
      for (let row = 0; row < batch; row += 1) {
        const masked = mask.data.subarray(row * sequence, (row + 1) * sequence);
        const length = masked.lastIndexOf(1n) + 1;
        const one = Object.entries(feeds).map(([name, all]) => [name, cut(all, row, length)]);
        results.push(await session.run(Object.fromEntries(one), options));
      }
      const names = options?.outputs ?? outputs.map(({ name }) => name);
      const joined = names.map((name) => {
        const rows = results.map((result) => result[name]);
        return [name, join(rows, perToken ? sequence : null)] as const;
      });
      return Object.fromEntries(joined);
    },
    release: () => session.release(),
  };
}
