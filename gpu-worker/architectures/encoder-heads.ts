/**
 * The heads of checkpoints by name, as transformers defines them (modeling_bert.py and the other families'). Heads are
 * computed in f32: they are small, and their logits are what callers see.
 */
import type { Value } from "../onnx/value.ts";
import { activate } from "./activation.ts";
import type { Architecture, MaskedHead } from "./architecture.ts";
import { wordTable } from "./embedding.ts";
import type { Head } from "./encoder-head.ts";
import { f32Layers } from "./f32-layers.ts";
import { layerNorm } from "./layer-norm.ts";
import type { Parameters } from "./parameters.ts";
import { sentenceHead } from "./sentence-head.ts";
import type { TokenStates } from "./sentence-head.ts";
import { WeightError } from "../weights/weight-source.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export type HeadInputs = TokenStates & {
  readonly architecture: Architecture;
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

/** Where its classes come from, in words, and how many there are. */
type Classes = { readonly count: number | undefined; readonly by: string };

/** A linear layer with as many outputs as the checkpoint has. @throws WeightError where they are not `classes` */
function classifier(
  { parameters, architecture }: HeadInputs,
  rows: Value,
  name: string,
  { count, by }: Classes,
): Value {
  const outputs = parameters.shapeOf(`${name}.weight`)[0] ?? 0;
  if (count !== undefined && outputs !== count) {
    throw new WeightError(
      `"${name}.weight" has ${outputs} rows, one for each class, but ${by} ${count}`,
    );
  }
  return f32Layers(parameters)
    .on(rows, { readers: [name] })
    .dense(name, { inputs: architecture.hidden, outputs });
}

function perToken(inputs: HeadInputs, name: string, classes: Classes): Value {
  const states = asRows(inputs.hidden, inputs.architecture.hidden);
  const rows = classifier(inputs, states, name, classes);
  return inBatch(inputs, rows, Number(rows.shape[1]));
}

const labelsOf = (count: number | undefined): Classes => ({ count, by: "config.json names" });

function sequenceClassification(inputs: HeadInputs, labels: number | undefined): void {
  const { parameters, architecture, hidden } = inputs;
  const { dense, activation, classifier: last } = architecture.sequenceHead;
  const first = hidden.slice(1, 0, 1).squeeze([1]);
  const shape = { inputs: architecture.hidden, outputs: architecture.hidden };
  const pooled = f32Layers(parameters)
    .on(first, { readers: [dense] })
    .dense(dense, shape);
  const logits = classifier(inputs, activate(activation, pooled), last, labelsOf(labels));
  parameters.graph.output("logits", logits);
}

function tokenClassification(inputs: HeadInputs, labels: number | undefined): void {
  inputs.parameters.graph.output("logits", perToken(inputs, "classifier", labelsOf(labels)));
}

function questionAnswering(inputs: HeadInputs): void {
  const { graph } = inputs.parameters;
  const logits = perToken(inputs, "qa_outputs", { count: 2, by: "an answer has" });
  graph.output("start_logits", logits.gather(graph.scalar("int64", 0), 2));
  graph.output("end_logits", logits.gather(graph.scalar("int64", 1), 2));
}

function maskedHeadOf({ parameters, architecture }: HeadInputs): MaskedHead {
  const { maskedHeads } = architecture;
  const found =
    maskedHeads.find(({ dense }) => parameters.has(`${dense}.weight`)) ?? maskedHeads[0];
  if (found === undefined) throw new WeightError(`${architecture.name} has no masked-LM head`);
  return found;
}

/** `states` [tokens, hidden] → [tokens, vocabulary]. */
function vocabularyLogits(inputs: HeadInputs, states: Value): Value {
  const { parameters, architecture } = inputs;
  const { hidden, vocabulary, epsilon } = architecture;
  const head = maskedHeadOf(inputs);
  const { dense, width } = head;
  const rows = f32Layers(parameters)
    .on(states, { readers: [dense] })
    .dense(dense, { inputs: hidden, outputs: width });
  const activated = activate(head.activation, rows);
  const normed = layerNorm(parameters, activated, { name: head.norm, width, epsilon });
  const own = head.decoder !== null && parameters.has(head.decoder);
  const matrix = own ? head.decoder : wordTable;
  const weight = parameters.constant(matrix, [width, vocabulary], (elements) =>
    transposeMatrix(elements, width),
  );
  const [first = ""] = head.bias;
  const bias = head.bias.find((name) => parameters.has(name)) ?? first;
  return normed.op("Gemm", [weight, parameters.constant(bias, [vocabulary])]);
}

function maskedLm(inputs: HeadInputs, at: "positions" | undefined): void {
  const { graph } = inputs.parameters;
  const { hidden, vocabulary } = inputs.architecture;
  const rows = asRows(inputs.hidden, hidden);
  if (at === undefined) {
    graph.output("logits", inBatch(inputs, vocabularyLogits(inputs, rows), vocabulary));
    return;
  }
  const positions = graph.input("positions", "int64", ["masked"]);
  graph.output("logits", vocabularyLogits(inputs, rows.gather(positions, 0)));
}

/** Adds `head` and its outputs to the graph. */
export function encoderHead(inputs: HeadInputs, head: Head): void {
  const { graph } = inputs.parameters;
  switch (head.name) {
    case "none":
      graph.output("last_hidden_state", inputs.hidden);
      return;
    case "sentence":
      sentenceHead(graph, inputs, head);
      return;
    case "sequence-classification":
      sequenceClassification(inputs, head.labels);
      return;
    case "token-classification":
      tokenClassification(inputs, head.labels);
      return;
    case "question-answering":
      questionAnswering(inputs);
      return;
    case "masked-lm":
      maskedLm(inputs, head.at);
  }
}
