/**
 * The heads of BERT checkpoints by name, as transformers defines them (modeling_bert.py). Heads are computed in f32:
 * they are small, and their logits are what callers see.
 */
import type { Value } from "../onnx/value.ts";
import { activate } from "./activation.ts";
import type { BertConfig } from "./bert-config.ts";
import type { Head, HeadName } from "./encoder-head.ts";
import { f32Layers } from "./f32-layers.ts";
import { layerNorm } from "./layer-norm.ts";
import type { Parameters } from "./parameters.ts";
import { sentenceHead } from "./sentence-head.ts";
import type { TokenStates } from "./sentence-head.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export type HeadInputs = TokenStates & {
  readonly config: BertConfig;
  readonly parameters: Parameters;
};

/** [batch, sequence, width] → the same as rows, [tokens, width]. */
function asRows(states: Value, width: number): Value {
  return states.reshape([-1, width]);
}

/** Rows back in the batch's shape. */
function inBatch({ parameters, mask }: HeadInputs, rows: Value, width: number): Value {
  const { graph } = parameters;
  const shape = graph.op("Concat", [mask.op("Shape"), graph.integers([width])], { axis: 0 });
  return rows.op("Reshape", [shape]);
}

/** A linear layer with as many outputs as the checkpoint has. */
function classifier({ parameters, config }: HeadInputs, rows: Value, name: string): Value {
  const outputs = parameters.shapeOf(`${name}.weight`)[0] ?? 0;
  return f32Layers(parameters)
    .on(rows, { readers: [name] })
    .dense(name, { inputs: config.hidden, outputs });
}

function perToken(inputs: HeadInputs, name: string): { logits: Value; outputs: number } {
  const rows = classifier(inputs, asRows(inputs.hidden, inputs.config.hidden), name);
  const outputs = Number(rows.shape[1]);
  return { logits: inBatch(inputs, rows, outputs), outputs };
}

function pooler({ hidden, parameters, config }: HeadInputs): Value {
  const first = hidden.slice(1, 0, 1).squeeze([1]);
  const shape = { inputs: config.hidden, outputs: config.hidden };
  const name = "pooler.dense";
  return f32Layers(parameters)
    .on(first, { readers: [name] })
    .dense(name, shape)
    .tanh();
}

function sequenceClassification(inputs: HeadInputs): void {
  const { graph } = inputs.parameters;
  graph.output("logits", classifier(inputs, pooler(inputs), "classifier"));
}

function tokenClassification(inputs: HeadInputs): void {
  inputs.parameters.graph.output("logits", perToken(inputs, "classifier").logits);
}

function questionAnswering(inputs: HeadInputs): void {
  const { graph } = inputs.parameters;
  const { logits } = perToken(inputs, "qa_outputs");
  graph.output("start_logits", logits.gather(graph.scalar("int64", 0), 2));
  graph.output("end_logits", logits.gather(graph.scalar("int64", 1), 2));
}

/** The decoder shares the word embeddings unless the checkpoint brings one of its own. */
function maskedLm(inputs: HeadInputs): void {
  const { config, parameters } = inputs;
  const { hidden, vocabularySize, activation } = config;
  const transform = "cls.predictions.transform";
  const rows = f32Layers(parameters)
    .on(asRows(inputs.hidden, hidden), { readers: [`${transform}.dense`] })
    .dense(`${transform}.dense`, { inputs: hidden, outputs: hidden });
  const named = { name: `${transform}.LayerNorm`, width: hidden, epsilon: config.epsilon };
  const states = layerNorm(parameters, activate(activation, rows), named);
  const own = "cls.predictions.decoder.weight";
  const matrix = parameters.has(own) ? own : "embeddings.word_embeddings.weight";
  const weight = parameters.constant(matrix, [hidden, vocabularySize], (elements) =>
    transposeMatrix(elements, hidden),
  );
  const bias = parameters.has("cls.predictions.bias")
    ? "cls.predictions.bias"
    : "cls.predictions.decoder.bias";
  const logits = states.op("Gemm", [weight, parameters.constant(bias, [vocabularySize])]);
  parameters.graph.output("logits", inBatch(inputs, logits, vocabularySize));
}

const heads: { readonly [N in Exclude<HeadName, "sentence">]: (inputs: HeadInputs) => void } = {
  none: ({ hidden, parameters }) => parameters.graph.output("last_hidden_state", hidden),
  "sequence-classification": sequenceClassification,
  "token-classification": tokenClassification,
  "question-answering": questionAnswering,
  "masked-lm": maskedLm,
};

/** Adds `head` and its outputs to the graph. */
export function bertHead(inputs: HeadInputs, head: Head): void {
  if (head.name === "sentence") sentenceHead(inputs.parameters.graph, inputs, head);
  else heads[head.name](inputs);
}
