/**
 * Models of every head with MiniLM's tokenizer and made-up outputs, as large as a real one's and made in no time: for
 * requests whose computation would take minutes, and whose reading is what is tested.
 */
import path from "node:path";
import { setImmediate as nextRound } from "node:timers/promises";
import type { CallerTask } from "../../contract/task-table.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import { scriptedEngine } from "../pipelines/scripted-engine.ts";
import { seededRandom } from "../pipelines/texts-in-many-scripts.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { loadTokenizer, type Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const hidden = 384;
const vocabulary = 30_522;
const maxTokens = 512;
/** Of the decoder. */
const decoderTokens = 8_192;

/** Numbers from 0 to 8, the same in every run. */
const random = seededRandom(1);
const noise = Float32Array.from({ length: 2 ** 20 }, () => 8 * random());

const classes = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

const heads = {
  sentence: { name: "none" },
  classes: {
    name: "sequence-classification",
    labels: classes,
    problem: "single_label",
    linear: null,
  },
  ranking: {
    name: "sequence-classification",
    labels: ["fit"],
    problem: "single_label",
    linear: null,
  },
  entailment: {
    name: "sequence-classification",
    labels: ["entailment", "neutral", "contradiction"],
    problem: "single_label",
    linear: null,
  },
  entities: {
    name: "token-classification",
    labels: classes,
    problem: "single_label",
    linear: null,
  },
  answers: { name: "question-answering" },
  mask: { name: "masked-lm" },
} as const satisfies Record<string, ModelHead>;

export type RandomHead = keyof typeof heads;

/** Which model does which task, at its most laborious. */
export const headOf: { readonly [T in Exclude<CallerTask, "noop">]: RandomHead | "decoder" } = {
  "feature-extraction": "sentence",
  "sentence-similarity": "sentence",
  "text-classification": "classes",
  "token-classification": "entities",
  "relation-extraction": "classes",
  "question-answering": "answers",
  "zero-shot-classification": "entailment",
  "few-shot-classification": "sentence",
  "fill-mask": "mask",
  rerank: "ranking",
  "chat-completion": "decoder",
  "text-generation": "decoder",
  tokenize: "sentence",
  detokenize: "sentence",
};

export async function randomModels(): Promise<
  Readonly<Record<RandomHead, EncoderModel> & { decoder: DecoderModel }>
> {
  const tokenizer = await loadTokenizer(embedded);
  const make = (id: RandomHead): EncoderModel => ({
    kind: "encoder",
    id,
    digest: `digest of ${id}`,
    tasks: [],
    limits: {
      maxTokens,
      dimensions: id === "sentence" ? hidden : null,
      vocabularySize: vocabulary,
    },
    tokenizer,
    session: sessionOf(heads[id]),
    head: heads[id],
    sentence: id === "sentence" ? { pooling: "mean", normalize: true, prompts: {} } : null,
    entityModel: id === "classes" ? "entities" : null,
  });
  const entries = (Object.keys(heads) as RandomHead[]).map((id) => [id, make(id)] as const);
  const encoders = Object.fromEntries(entries) as Record<RandomHead, EncoderModel>;
  return { ...encoders, decoder: madeUpDecoder(tokenizer) };
}

const unused = () => Promise.reject(new Error("no session is run"));

/** Whose tokens come of `randomEngine`: its session is never run. */
export function madeUpDecoder(tokenizer: Tokenizer): DecoderModel {
  return {
    kind: "decoder",
    id: "decoder",
    digest: "digest of decoder",
    tasks: ["text-generation", "chat-completion"],
    limits: { maxTokens: decoderTokens, dimensions: null, vocabularySize: vocabulary },
    tokenizer,
    rowsMin: 1,
    session: {
      provider: "cpu",
      concurrency: 1,
      inputs: [],
      outputs: [],
      run: unused,
      allocate: unused,
      bind: () => ({ run: unused, release: unused }),
      release: () => Promise.resolve(),
    },
    keyValues: { layers: 1, heads: 1, width: 16 },
    queryHeads: 1,
    keyValueBytes: 2 ** 20,
    endTokens: new Set([102]),
    chatTemplate: {
      template:
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}",
      bosToken: "",
      eosToken: "[SEP]",
    },
  };
}

/** Made-up tokens, hardly ever the last. */
export const randomEngine = () =>
  scriptedEngine(({ sampling }, choice, position) => {
    const mixed = Math.imul((sampling.seed % 65_536) + choice * 7_919 + position, 2_654_435_761);
    return 1_000 + ((mixed >>> 0) % (vocabulary - 1_000));
  });

function sessionOf(head: ModelHead): EncoderModel["session"] {
  const inputs = ["input_ids", "attention_mask", "token_type_ids"];
  if (head.name === "masked-lm") inputs.push("positions");
  const labels = "labels" in head ? head.labels.length : 0;
  let runs = 0;
  return {
    concurrency: 2,
    inputs: inputs.map((name) => ({ name })),
    outputs: [],
    async run(feeds, { outputs }) {
      // As of a real one, whose threads answer in a later round of the event loop.
      await nextRound();
      const [rows = 0, sequence = 0] = feeds["input_ids"]?.shape ?? [];
      const positions = feeds["positions"]?.shape[0] ?? 0;
      const perToken = head.name === "token-classification";
      const shapes: Record<string, number[]> = {
        pooled: [rows, hidden],
        sentence_embedding: [rows, hidden],
        last_hidden_state: [rows, sequence, hidden],
        start_logits: [rows, sequence],
        end_logits: [rows, sequence],
        logits: perToken ? [rows, sequence, labels] : [rows, labels],
      };
      if (head.name === "masked-lm") shapes["logits"] = [positions, vocabulary];
      runs += 1;
      const made = outputs.map((name) => [name, randomTensor(shapes[name] ?? [], runs)]);
      return Object.fromEntries(made);
    },
  };
}

function randomTensor(shape: number[], seed: number): Tensor {
  const length = shape.reduce((product, each) => product * each, 1);
  const data = new Float32Array(length);
  for (let at = 0, from = seed * 101; at < length; from = 0) {
    const part = noise.subarray(from, from + length - at);
    data.set(part, at);
    at += part.length;
  }
  return { dtype: "float32", shape, data };
}
