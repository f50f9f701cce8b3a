// import { openModel } from "./model.mjs";   Needs: npm install onnxruntime-node tokenizers @huggingface/jinja
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Template } from "@huggingface/jinja";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { Tokenizer } from "tokenizers";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const model = JSON.parse(readFileSync(file("model.json"), "utf8"));
const tokenizer = Tokenizer.fromFile(file("tokenizer.json"));
const { layers, heads, width } = model.key_values;

const promptOf = async (given) => {
  if (typeof given === "string") return (await tokenizer.encode(given)).getIds();
  if (typeof given[0] === "number") return given;
  if (model.chat_template === null) throw new Error("this model takes no conversation");
  const { bos_token, eos_token } = model;
  const variables = { messages: given, tools: null, documents: null, add_generation_prompt: true };
  const prompt = new Template(model.chat_template).render({ ...variables, bos_token, eos_token });
  return (await tokenizer.encode(prompt, null, { addSpecialTokens: false })).getIds();
};
const int32 = (value, shape) => new Tensor("int32", Int32Array.of(value), shape);
const int64 = (values, shape) => new Tensor("int64", BigInt64Array.from(values, BigInt), shape);
const largest = (row) => row.reduce((best, value, at) => (value > row[best] ? at : best), 0);
const kept = Array.from({ length: layers }, (_, layer) => [
  `${layer}.key`,
  `${layer}.value`,
]).flat();

/** @returns writes the likeliest answer to a text, a conversation, or a list of ids */
export async function openModel() {
  const session = await InferenceSession.create(file("model.onnx"));
  return async (input, { maxTokens = 256 } = {}) => {
    const prompt = await promptOf(input);
    const room = model.max_tokens - prompt.length;
    if (room < 1) throw new Error(`${prompt.length} tokens, ${model.max_tokens - 1} at most`);
    const nothing = new Tensor("float32", new Float32Array(), [1, heads, 0, width]);
    let past = kept.map(() => nothing);
    let [fed, length] = [[...model.virtual_tokens, ...prompt], 0];
    const tokens = [];
    while (tokens.length < Math.min(room, maxTokens)) {
      length += fed.length;
      const results = await session.run({
        input_ids: int64(fed, [1, fed.length]),
        lengths: int32(length, [1]),
        total_length: int32(length, []),
        positions: int64([fed.length - 1], [1]),
        ...Object.fromEntries(kept.map((name, at) => [`past_key_values.${name}`, past[at]])),
      });
      past = kept.map((name) => results[`present.${name}`]);
      fed = [largest(results.logits.data)];
      tokens.push(...fed);
      if (model.end_tokens.includes(fed[0])) break;
    }
    return { text: await tokenizer.decode(tokens, true), tokens };
  };
}
