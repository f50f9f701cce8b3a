// import { openModel } from "./model.mjs";   Needs: npm install onnxruntime-node tokenizers
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { Tokenizer } from "tokenizers";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const model = JSON.parse(readFileSync(file("model.json"), "utf8"));
const tokenizer = Tokenizer.fromFile(file("tokenizer.json"));
tokenizer.setTruncation(model.max_tokens);
tokenizer.disablePadding();

const { shapesOf } = model.word_shapes ? await import("./word-shapes.mjs") : {};
const { readParts, tokensOf } = model.parts ? await import("./marked-parts.mjs") : {};
/** Of the tokens, in units of JavaScript's strings. */
const offsetsIn = (text, encoding) => {
  const signs = [...text];
  const place = (at) => signs.slice(0, at).join("").length;
  return encoding.getOffsets().map((span) => span.map(place));
};
/** Of each token's word; special tokens are words of their own, without a text. */
const shapesIn = (text, encoding) => {
  const words = encoding.getWordIds().map((word, at) => word ?? -1 - at);
  return shapesOf({ text, offsets: offsetsIn(text, encoding), words });
};

const sigmoid = (row) => row.map((x) => 1 / (1 + Math.exp(-x)));
const softmax = (row) => {
  const powers = row.map((x) => Math.exp(x - Math.max(...row)));
  return powers.map((power) => power / powers.reduce((sum, each) => sum + each, 0));
};
const score = { sigmoid, softmax, none: (row) => row }[model.scores];
const withLabels = (row) => Object.fromEntries(model.labels.map((label, at) => [label, row[at]]));

/** Of a result's tensor: what each row says. */
const read = ({ data, dims }, tokens) => {
  const width = dims.at(-1);
  const lines = Array.from({ length: data.length / width }, (_, at) =>
    score(Array.from(data.subarray(at * width, (at + 1) * width))),
  );
  const shown = model.labels === null ? lines : lines.map(withLabels);
  return model.per_token ? { tokens, rows: shown } : shown[0];
};

/** What the graph is fed, by name, a number for each token. */
const rowsOf = (text, parts, encoding) => {
  const ids = [...model.virtual_tokens, ...encoding.getIds()];
  const offsets = parts && offsetsIn(text, encoding);
  return {
    input_ids: ids,
    attention_mask: ids.map(() => 1),
    token_type_ids: [...model.virtual_tokens.map(() => 0), ...encoding.getTypeIds()],
    word_shapes: shapesOf && shapesIn(text, encoding),
    head_tokens: parts && tokensOf(parts, parts.head, offsets),
    tail_tokens: parts && tokensOf(parts, parts.tail, offsets),
  };
};

const tensor = (row) => new Tensor("int64", BigInt64Array.from(row, BigInt), [1, row.length]);

/** @returns says what the model says of a text, or of two */
export async function openModel() {
  const session = await InferenceSession.create(file("model.onnx"));
  return async (input) => {
    const given = [input].flat();
    const texts = model.lower_case ? given.map((text) => text.toLowerCase()) : given;
    const parts = readParts?.(texts[0], model.parts === "marks");
    const text = parts?.text ?? texts[0];
    const encoding = await tokenizer.encode(text, texts[1] ?? null);
    const rows = rowsOf(text, parts, encoding);
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensor(rows[name])]));
    const results = await session.run(feeds, model.outputs);
    const shown = model.outputs.map((name) => [name, read(results[name], encoding.getTokens())]);
    return shown.length === 1 ? shown[0][1] : Object.fromEntries(shown);
  };
}
