// node run.mjs "A text." '["A text.", "and its second"]'   Needs: npm install onnxruntime-node tokenizers
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { Tokenizer } from "tokenizers";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const model = JSON.parse(readFileSync(file("model.json"), "utf8"));
const tokenizer = Tokenizer.fromFile(file("tokenizer.json"));
tokenizer.setTruncation(model.max_tokens);
tokenizer.disablePadding();
const session = await InferenceSession.create(file("model.onnx"));

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

for (const argument of process.argv.slice(2)) {
  const given = argument.startsWith("[") ? JSON.parse(argument) : [argument];
  const [first, second = null] = model.lower_case ? given.map((text) => text.toLowerCase()) : given;
  const parts = readParts?.(first, model.parts === "marks");
  const encoding = await tokenizer.encode(parts?.text ?? first, second);
  const offsets = parts && offsetsIn(parts.text, encoding);
  const ids = [...model.virtual_tokens, ...encoding.getIds()];
  const tensor = (row) => new Tensor("int64", BigInt64Array.from(row, BigInt), [1, ids.length]);
  const rows = {
    input_ids: ids,
    attention_mask: ids.map(() => 1),
    token_type_ids: [...model.virtual_tokens.map(() => 0), ...encoding.getTypeIds()],
    word_shapes: shapesOf && shapesIn(first, encoding),
    head_tokens: parts && tokensOf(parts, parts.head, offsets),
    tail_tokens: parts && tokensOf(parts, parts.tail, offsets),
  };
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensor(rows[name])]));
  const results = await session.run(feeds, model.outputs);
  const read = ({ data, dims }) => {
    const width = dims.at(-1);
    const lines = Array.from({ length: data.length / width }, (_, at) =>
      score(Array.from(data.subarray(at * width, (at + 1) * width))),
    );
    const shown = model.labels === null ? lines : lines.map(withLabels);
    return model.per_token ? { tokens: encoding.getTokens(), rows: shown } : shown[0];
  };
  const shown = model.outputs.map((name) => [name, read(results[name])]);
  console.log(JSON.stringify(shown.length === 1 ? shown[0][1] : Object.fromEntries(shown)));
}
