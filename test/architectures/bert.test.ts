/** The graph against plain loops, text by text: every head, pooling, naming and form. */
import { describe, expect, it } from "vitest";
import { readChannelRanges } from "../../gpu-worker/architectures/channel-ranges.ts";
import { madeUpInputs } from "./made-up-inputs.ts";
import type { ChannelRanges } from "../../gpu-worker/architectures/channel-ranges.ts";
import type { EncoderOptions, Head } from "../../gpu-worker/architectures/encoder-head.ts";
import { buildEncoder, buildRangesEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "../onnx/run-graph.ts";
import type { Result } from "../onnx/run-graph.ts";
import { machineSaturates } from "./machine-saturates.ts";
import { activate, layerNorm, linear, plainBert } from "./plain-bert.ts";
import type { PlainConfig, Rows, Weights } from "./plain-bert.ts";
import { configFile, plainConfig, positions, randomWeights, sourceOf } from "./tiny-checkpoint.ts";
import { vocabulary } from "./tiny-checkpoint.ts";

const weights = randomWeights(plainConfig);

type Text = { ids: number[]; types: number[] };
const texts: Text[] = [
  { ids: [2, 7, 49, 0, 13, 3], types: [0, 0, 0, 1, 1, 1] },
  { ids: [2, 3], types: [0, 0] },
  { ids: [2, 11, 11, 3], types: [0, 0, 0, 0] },
];
const sequence = 6;

function feedsOf(batch: readonly Text[], length = sequence) {
  const shape = [batch.length, length];
  const padded = (row: readonly number[], fill: number) => [
    ...row,
    ...Array.from({ length: length - row.length }, () => fill),
  ];
  return {
    input_ids: int64(
      shape,
      batch.flatMap(({ ids }) => padded(ids, 9)),
    ),
    attention_mask: int64(
      shape,
      batch.flatMap(({ ids }) =>
        padded(
          ids.map(() => 1),
          0,
        ),
      ),
    ),
    token_type_ids: int64(
      shape,
      batch.flatMap(({ types }) => padded(types, 0)),
    ),
  };
}

async function run(options: Partial<EncoderOptions>, batch = texts, length = sequence) {
  const source = sourceOf(weights, (name) => name);
  const wanted = { head: { name: "none" }, form: "f32", ...options } as const;
  return runGraph(buildEncoder(configFile(plainConfig), source, wanted), feedsOf(batch, length));
}

function hiddenOf(text: Text, config: PlainConfig = plainConfig): Rows {
  return plainBert(config, weights, text);
}

/** Numbers of `result` for text `row`, its first axis. */
function ofText(result: Result | undefined, row: number): number[] {
  const each = (result?.data.length ?? 0) / (result?.shape[0] ?? 1);
  return result?.data.slice(row * each, (row + 1) * each) ?? [];
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-5) {
  expect(actual.length).toBeGreaterThanOrEqual(expected.length);
  for (const [at, value] of expected.entries()) {
    expect(Math.abs((actual[at] ?? NaN) - value)).toBeLessThan(tolerance);
  }
}

function mean(rows: Rows): number[] {
  return (rows[0] ?? []).map(
    (_, at) => rows.reduce((sum, row) => sum + (row[at] ?? NaN), 0) / rows.length,
  );
}

function unit(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

describe("hidden states", () => {
  it.each([false, true])("are those of plain loops, whatever pads (packed: %s)", async (packed) => {
    const { last_hidden_state: states } = await run({ packed });
    expect(states?.shape).toEqual([3, sequence, plainConfig.hidden]);
    for (const [row, text] of texts.entries()) {
      expectClose(ofText(states, row), hiddenOf(text).flat());
    }
  });

  it("run on standard operators alone, under the hub's names", () => {
    const source = sourceOf(weights, (name) => name);
    const graph = buildEncoder(configFile(plainConfig), source, {
      head: { name: "none" },
      form: "f32",
    });
    expect(graph.nodes.filter(({ domain }) => domain !== "")).toEqual([]);
    expect(graph.inputs.map(({ name }) => name)).toEqual([
      "input_ids",
      "attention_mask",
      "token_type_ids",
    ]);
    expect(graph.outputs).toEqual([
      {
        name: "last_hidden_state",
        dtype: "float32",
        shape: ["batch", "sequence", plainConfig.hidden],
      },
    ]);
    expect(verifyGraph(graph).size).toBeGreaterThan(graph.nodes.length);
  });

  it.each([
    ["a prefix", (name: string) => (name.startsWith("cls") ? name : `bert.${name}`)],
    [
      "TensorFlow's names of norms",
      (name: string) => name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"),
    ],
  ])("are found under %s", async (_, rename) => {
    const options = { head: { name: "none" }, form: "f32" } as const;
    const graph = buildEncoder(configFile(plainConfig), sourceOf(weights, rename), options);
    const { last_hidden_state: states } = await runGraph(graph, feedsOf(texts));
    expectClose(
      ofText(states, 1),
      texts
        .slice(1, 2)
        .map((text) => hiddenOf(text))
        .flat(2),
    );
  });

  it.each(["gelu_new", "relu"] as const)(
    "follow the config's activation %s",
    async (activation) => {
      const config = { ...plainConfig, activation };
      const source = sourceOf(weights, (name) => name);
      const graph = buildEncoder(configFile(config), source, {
        head: { name: "none" },
        form: "f32",
      });
      const { last_hidden_state: states } = await runGraph(graph, feedsOf(texts));
      for (const [row, text] of texts.entries()) {
        expectClose(ofText(states, row), hiddenOf(text, config).flat());
      }
    },
  );

  it.each([false, true])(
    "are numbers beside a text without tokens (packed: %s)",
    async (packed) => {
      const { sentence_embedding: vectors } = await run(
        { packed, head: { name: "sentence", pooling: "mean", normalize: true } },
        [...texts, { ids: [], types: [] }],
      );
      expect(vectors?.data.every(Number.isFinite)).toBe(true);
    },
  );
});

function tanh(rows: Rows): Rows {
  return rows.map((row) => row.map(Math.tanh));
}

describe("heads", () => {
  const poolings = {
    mean,
    cls: (rows: Rows) => rows[0] ?? [],
    max: (rows: Rows) =>
      (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at] ?? NaN))),
  };
  it("read padding on either side", async () => {
    const [text = { ids: [], types: [] }] = texts;
    const feeds = feedsOf([{ ids: [9, ...text.ids], types: [0, ...text.types] }], 8);
    feeds.attention_mask.data[0] = 0n;
    const results = [false, true].map((packed) => {
      const options = { head: { name: "none" }, form: "f32", packed } as const;
      const source = sourceOf(weights, (name) => name);
      return runGraph(buildEncoder(configFile(plainConfig), source, options), feeds);
    });
    const [padded, packed] = await Promise.all(results);
    const tokens = ({ hidden } = plainConfig) => [hidden, hidden * (1 + text.ids.length)] as const;
    expectClose(
      packed?.["last_hidden_state"]?.data.slice(...tokens()) ?? [],
      padded?.["last_hidden_state"]?.data.slice(...tokens()) ?? [NaN],
    );
  });

  it.each(["mean", "cls", "max"] as const)("make a sentence vector by %s", async (pooling) => {
    const { pooled, sentence_embedding: scaled } = await run({
      head: { name: "sentence", pooling, normalize: true },
    });
    const { sentence_embedding: raw } = await run({
      head: { name: "sentence", pooling, normalize: false },
    });
    expect(raw?.data).toEqual(pooled?.data);
    for (const [row, text] of texts.entries()) {
      const expected = poolings[pooling](hiddenOf(text));
      expectClose(ofText(pooled, row), expected);
      expectClose(ofText(scaled, row), unit(expected));
    }
  });

  const transform = (hidden: Rows) => {
    const name = "cls.predictions.transform";
    return layerNorm(
      weights,
      `${name}.LayerNorm`,
      activate(plainConfig, linear(weights, `${name}.dense`, hidden)),
    );
  };
  const decoder: Weights = new Map([
    [
      "decoder.weight",
      {
        shape: [],
        data: weights.get("embeddings.word_embeddings.weight")?.data ?? new Float32Array(),
      },
    ],
    [
      "decoder.bias",
      { shape: [], data: weights.get("cls.predictions.bias")?.data ?? new Float32Array() },
    ],
  ]);
  const expected: readonly (readonly [
    Exclude<Head["name"], "sentence" | "none">,
    (hidden: Rows) => Rows,
  ])[] = [
    [
      "sequence-classification",
      (hidden) =>
        linear(weights, "classifier", tanh(linear(weights, "pooler.dense", hidden.slice(0, 1)))),
    ],
    ["token-classification", (hidden) => linear(weights, "classifier", hidden)],
    ["masked-lm", (hidden) => linear(decoder, "decoder", transform(hidden))],
  ];
  it.each(expected)("give the logits of %s", async (name, logitsOf) => {
    const { logits } = await run({ head: { name } });
    for (const [row, text] of texts.entries()) {
      expectClose(ofText(logits, row), logitsOf(hiddenOf(text)).flat(), 1e-4);
    }
  });

  it.each(["f32", "int8"] as const)(
    "of a class have one row of a text in the last layer, %s",
    (form) => {
      const source = sourceOf(weights, (name) => name);
      const rowsOf = (
        name: "sequence-classification" | "token-classification",
        packed: boolean,
      ) => {
        const graph = buildEncoder(configFile(plainConfig), source, {
          head: { name },
          form,
          packed,
        });
        const built = GraphBuilder.from(graph);
        const wide = graph.nodes
          .filter((node) => node.name.startsWith(`encoder.layer.${plainConfig.layers - 1}/`))
          .map(({ outputs: [output = ""] }) => built.value(output).shape)
          .filter((shape) => shape.length === 2 && shape[1] === plainConfig.intermediate);
        return new Set(wide.map(([rows]) => rows));
      };
      for (const packed of [false, true]) {
        expect(rowsOf("sequence-classification", packed)).toEqual(new Set(["batch"]));
        expect(rowsOf("token-classification", packed)).not.toContain("batch");
      }
    },
  );

  it("give where an answer starts and ends", async () => {
    const { start_logits: start, end_logits: end } = await run({
      head: { name: "question-answering" },
    });
    expect(start?.shape).toEqual([3, sequence]);
    for (const [row, text] of texts.entries()) {
      const logits = linear(weights, "qa_outputs", hiddenOf(text));
      expectClose(
        ofText(start, row),
        logits.map(([first = NaN]) => first),
      );
      expectClose(
        ofText(end, row),
        logits.map(([, second = NaN]) => second),
      );
    }
  });
});

async function measuredRanges(): Promise<ChannelRanges> {
  const source = sourceOf(weights, (name) => name);
  const graph = buildRangesEncoder(configFile(plainConfig), source);
  const results = await runGraph(graph, madeUpInputs(graph.inputs, vocabulary, positions));
  const tensors = Object.entries(results).map(
    ([name, { shape, data }]) => [name, float32(shape, data)] as const,
  );
  return readChannelRanges(Object.fromEntries(tensors));
}

const saturates = await machineSaturates();
if (saturates)
  console.info("Skipped: int8 with signed weights, which this processor multiplies wrongly");
const usable = saturates ? [true] : [false, true];

describe("int8", () => {
  it("rounds by ranges that are those of plain loops", async () => {
    const expected = new Map<string, number[]>();
    const inputs = madeUpInputs([{ name: "input_ids" }], vocabulary, positions)["input_ids"];
    const ids = Array.from(inputs?.data ?? [], Number);
    for (let at = 0; at < ids.length; at += positions) {
      const text = ids.slice(at, at + positions);
      plainBert(plainConfig, weights, { ids: text, types: text.map(() => 0) }, (reader, rows) => {
        const before = expected.get(reader) ?? [];
        const reach = rows.reduce(
          (most, row) => row.map((x, i) => Math.max(Math.abs(x), most[i] ?? 0)),
          before,
        );
        expected.set(reader, reach);
      });
    }
    const ranges = await measuredRanges();
    expect([...ranges.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
    for (const [reader, reach] of expected) expectClose([...(ranges.get(reader) ?? [])], reach);
  });

  it.each(usable)("comes close to f32, smoothed or not (shifted: %s)", async (shifted) => {
    for (const ranges of [null, await measuredRanges()]) {
      const { last_hidden_state: states } = await run({
        form: "int8",
        saturates: shifted,
        ranges,
      });
      for (const [row, text] of texts.entries()) {
        const expected = hiddenOf(text).flat();
        const actual = ofText(states, row).slice(0, expected.length);
        const dot = unit(actual).reduce((sum, x, at) => sum + x * (unit(expected)[at] ?? NaN), 0);
        expect(dot).toBeGreaterThan(0.995);
      }
    }
  });

  it.skipIf(saturates)("computes the same whether weights are signed or shifted", async () => {
    const ranges = await measuredRanges();
    const signed = await run({ form: "int8", saturates: false, ranges });
    expect(await run({ form: "int8", saturates: true, ranges })).toEqual(signed);
  });

  it("gives a text the same states alone and beside others", async () => {
    const { last_hidden_state: together } = await run({ form: "int8", saturates, packed: true });
    for (const [row, text] of texts.entries()) {
      const { last_hidden_state: alone } = await run(
        { form: "int8", saturates },
        [text],
        text.ids.length,
      );
      expectClose(ofText(together, row), alone?.data ?? [NaN], 1e-4);
    }
  });
});

describe("refused", () => {
  const options = { head: { name: "none" }, form: "f32" } as const;
  const build = (change: object) => () =>
    buildEncoder(
      { ...configFile(plainConfig), ...change },
      sourceOf(weights, (name) => name),
      options,
    );

  it.each([
    [{ model_type: "gpt2" }, /model_type gpt2 is not built/],
    [{ hidden_size: "24" }, /hidden_size/],
    [{ num_attention_heads: 5 }, /does not divide/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers/],
    [{ position_embedding_type: "relative_key" }, /position_embedding_type/],
    [{ is_decoder: true }, /is_decoder/],
    [{ hidden_act: "mish" }, /hidden_act/],
    [{ num_hidden_layers: 3 }, /no tensor "encoder.layer.2/],
    [{ intermediate_size: 41 }, /is \[40, 24\], not \[24, 41\]/],
    [{ vocab_size: 51 }, /word_embeddings/],
  ])("%j", (change, message) => {
    expect(build(change)).toThrow(message);
  });
});
