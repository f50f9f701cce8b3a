/**
 * BERT as its paper and transformers' modeling_bert.py have it, in plain loops and doubles: the oracle of the graph.
 * One text at a time, so it knows neither padding nor masks.
 */
export type PlainConfig = {
  hidden: number;
  heads: number;
  layers: number;
  intermediate: number;
  activation: "gelu" | "gelu_new" | "relu";
};

export type Weights = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;
export type Rows = number[][];

function get(weights: Weights, name: string): Float32Array {
  const found = weights.get(name);
  if (found === undefined) throw new Error(`no weight ${name}`);
  return found.data;
}

export function linear(weights: Weights, name: string, rows: Rows): Rows {
  const matrix = get(weights, `${name}.weight`);
  const bias = get(weights, `${name}.bias`);
  return rows.map((row) =>
    Array.from(bias, (start, out) =>
      row.reduce((sum, x, at) => sum + x * (matrix[out * row.length + at] ?? NaN), start),
    ),
  );
}

export function layerNorm(weights: Weights, name: string, rows: Rows): Rows {
  const scale = get(weights, `${name}.weight`);
  const shift = get(weights, `${name}.bias`);
  return rows.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
    const inverse = 1 / Math.sqrt(variance + 1e-12);
    return row.map((x, at) => (x - mean) * inverse * (scale[at] ?? NaN) + (shift[at] ?? NaN));
  });
}

/** Abramowitz and Stegun would not do: the series for erf, exact to doubles in the range used here. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let sum = x;
  let term = x;
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const activations = {
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_new: (x: number) =>
    0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x: number) => Math.max(x, 0),
};

export function activate(config: PlainConfig, rows: Rows): Rows {
  return rows.map((row) => row.map(activations[config.activation]));
}

export function add(a: Rows, b: Rows): Rows {
  return a.map((row, at) => row.map((x, column) => x + (b[at]?.[column] ?? NaN)));
}

function softmax(row: number[]): number[] {
  const largest = Math.max(...row);
  const powers = row.map((x) => Math.exp(x - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

/** Context of each token within one head. */
function attendHead(queries: Rows, keys: Rows, values: Rows): Rows {
  return queries.map((query) => {
    const scores = keys.map(
      (key) => key.reduce((sum, x, i) => sum + x * (query[i] ?? NaN), 0) / Math.sqrt(key.length),
    );
    const shares = softmax(scores);
    return query.map((_, i) =>
      shares.reduce((sum, share, token) => sum + share * (values[token]?.[i] ?? NaN), 0),
    );
  });
}

function attention(config: PlainConfig, weights: Weights, layer: string, rows: Rows): Rows {
  const width = config.hidden / config.heads;
  const project = (name: string) => linear(weights, `${layer}.attention.self.${name}`, rows);
  const [queries, keys, values] = [project("query"), project("key"), project("value")];
  const heads = Array.from({ length: config.heads }, (_, head) => {
    const cut = (all: Rows) => all.map((row) => row.slice(head * width, (head + 1) * width));
    return attendHead(cut(queries), cut(keys), cut(values));
  });
  const context = rows.map((_, token) => heads.flatMap((head) => head[token] ?? []));
  return linear(weights, `${layer}.attention.output.dense`, context);
}

/** Hidden states [tokens][hidden] of one text; `probe` sees what each layer's products read. */
export function plainBert(
  config: PlainConfig,
  weights: Weights,
  { ids, types }: { ids: readonly number[]; types: readonly number[] },
  probe: (reader: string, rows: Rows) => void = () => undefined,
): Rows {
  const row = (name: string, at: number) =>
    Array.from(
      get(weights, `embeddings.${name}_embeddings.weight`).subarray(
        at * config.hidden,
        (at + 1) * config.hidden,
      ),
    );
  const words = ids.map((id) => row("word", id));
  const typed = add(
    words,
    types.map((type) => row("token_type", type)),
  );
  const placed = add(
    typed,
    ids.map((_, at) => row("position", at)),
  );
  let x = layerNorm(weights, "embeddings.LayerNorm", placed);
  for (let index = 0; index < config.layers; index++) {
    const layer = `encoder.layer.${index}`;
    probe(`${layer}.attention.self.query`, x);
    const attended = add(x, attention(config, weights, layer, x));
    const y = layerNorm(weights, `${layer}.attention.output.LayerNorm`, attended);
    probe(`${layer}.intermediate.dense`, y);
    const wide = activate(config, linear(weights, `${layer}.intermediate.dense`, y));
    x = layerNorm(
      weights,
      `${layer}.output.LayerNorm`,
      add(y, linear(weights, `${layer}.output.dense`, wide)),
    );
  }
  return x;
}
