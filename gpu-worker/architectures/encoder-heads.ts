/**
 * The heads of checkpoints by name, as transformers defines them (modeling_bert.py and the other families'). Heads are
 * computed in f32: they are small, and their logits are what callers see.
 */
import type { Value } from "../onnx/value.ts";
import { activate } from "./activation.ts";
import type { Architecture, MaskedHead } from "./architecture.ts";
import { wordTable } from "./embedding.ts";
import type { Head, HeadName } from "./encoder-head.ts";
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

/** A linear layer with as many outputs as the checkpoint has. */
function classifier({ parameters, architecture }: HeadInputs, rows: Value, name: string): Value {
  const outputs = parameters.shapeOf(`${name}.weight`)[0] ?? 0;
  return f32Layers(parameters)
    .on(rows, { readers: [name] })
    .dense(name, { inputs: architecture.hidden, outputs });
}

function perToken(inputs: HeadInputs, name: string): Value {
  const rows = classifier(inputs, asRows(inputs.hidden, inputs.architecture.hidden), name);
  return inBatch(inputs, rows, Number(rows.shape[1]));
}

function sequenceClassification(inputs: HeadInputs): void {
  const { parameters, architecture, hidden } = inputs;
  const { dense, activation, classifier: last } = architecture.sequenceHead;
  const first = hidden.slice(1, 0, 1).squeeze([1]);
  const shape = { inputs: architecture.hidden, outputs: architecture.hidden };
  const pooled = f32Layers(parameters)
    .on(first, { readers: [dense] })
    .dense(dense, shape);
  parameters.graph.output("logits", classifier(inputs, activate(activation, pooled), last));
}

function tokenClassification(inputs: HeadInputs): void {
  inputs.parameters.graph.output("logits", perToken(inputs, "classifier"));
}

function questionAnswering(inputs: HeadInputs): void {
  const { graph } = inputs.parameters;
  const logits = perToken(inputs, "qa_outputs");
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

type PlainHead = Exclude<HeadName, "sentence" | "masked-lm">;

const heads: { readonly [N in PlainHead]: (inputs: HeadInputs) => void } = {
  none: ({ hidden, parameters }) => parameters.graph.output("last_hidden_state", hidden),
  "sequence-classification": sequenceClassification,
  "token-classification": tokenClassification,
  "question-answering": questionAnswering,
};

/** Adds `head` and its outputs to the graph. */
export function encoderHead(inputs: HeadInputs, head: Head): void {
  if (head.name === "sentence") sentenceHead(inputs.parameters.graph, inputs, head);
  else if (head.name === "masked-lm") maskedLm(inputs, head.at);
  else heads[head.name](inputs);
}
