/**
 * The heads of checkpoints by name, as transformers defines them (modeling_bert.py and the other families'). Heads are
 * computed in f32: they are small, and their logits are what callers see.
 */
import type { Value } from "../onnx/value.ts";
import { activate } from "./activation.ts";
import type { Architecture, MaskedHead } from "./architecture.ts";
import { wordTable } from "./embedding.ts";
import type { Head } from "./encoder-head.ts";
import type { LayerForms } from "./layer-forms.ts";
import { layerNorm } from "./layer-norm.ts";
import type { Parameters } from "./parameters.ts";
import { sentenceHead } from "./sentence-head.ts";
import type { TokenStates } from "./sentence-head.ts";
import { WeightError } from "../weights/weight-source.ts";

export type HeadInputs = TokenStates & {
  readonly architecture: Architecture;
  readonly parameters: Parameters;
  readonly forms: LayerForms;
};

export type Logits = Readonly<Record<string, Value>>;

/** [batch, sequence, width] → the same as rows, [tokens, width]. */
export function asRows(states: Value, width: number): Value {
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
export function classifier(
  { parameters, forms }: HeadInputs,
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
  return forms.exact
    .on(forms.dropout.head(rows), { readers: [name] })
    .dense(name, { inputs: Number(rows.shape[1]), outputs });
}

function perToken(inputs: HeadInputs, name: string, classes: Classes): Value {
  const states = asRows(inputs.hidden, inputs.architecture.hidden);
  const rows = classifier(inputs, states, name, classes);
  return inBatch(inputs, rows, Number(rows.shape[1]));
}

export const labelsOf = (count: number | undefined): Classes => ({
  count,
  by: "config.json names",
});

function sequenceClassification(inputs: HeadInputs, labels: number | undefined): Logits {
  const { parameters, architecture, forms, hidden } = inputs;
  const { dense, activation, classifier: last } = architecture.sequenceHead;
  const first = hidden.slice(1, 0, 1).squeeze([1]);
  const shape = { inputs: architecture.hidden, outputs: architecture.hidden };
  const pooled = forms.exact.on(first, { readers: [dense] }).dense(dense, shape);
  const logits = classifier(inputs, activate(activation, pooled), last, labelsOf(labels));
  parameters.graph.output("logits", logits);
  return { logits };
}

function tokenClassification(inputs: HeadInputs, labels: number | undefined): Logits {
  const logits = perToken(inputs, "classifier", labelsOf(labels));
  inputs.parameters.graph.output("logits", logits);
  return { logits };
}

function questionAnswering(inputs: HeadInputs): Logits {
  const { graph } = inputs.parameters;
  const logits = perToken(inputs, "qa_outputs", { count: 2, by: "an answer has" });
  const output = (name: string, at: number): Value => {
    const own = logits.gather(graph.scalar("int64", at), 2);
    graph.output(name, own);
    return own;
  };
  return { start_logits: output("start_logits", 0), end_logits: output("end_logits", 1) };
}

function maskedHeadOf({ parameters, architecture }: HeadInputs): MaskedHead {
  const { maskedHeads } = architecture;
  const found =
    maskedHeads.find(({ dense }) => parameters.has(`${dense}.weight`)) ?? maskedHeads[0];
  if (found === undefined) throw new WeightError(`${architecture.name} has no masked-LM head`);
  return found;
}

/** `states` [tokens, hidden] → [tokens, vocabulary]. */
export function vocabularyLogits(inputs: HeadInputs, states: Value): Value {
  const { parameters, architecture, forms } = inputs;
  const { hidden, vocabulary, epsilon } = architecture;
  const head = maskedHeadOf(inputs);
  const { dense, width } = head;
  const rows = forms.exact
    .on(states, { readers: [dense] })
    .dense(dense, { inputs: hidden, outputs: width });
  const activated = activate(head.activation, rows);
  const normed = layerNorm(parameters, activated, { name: head.norm, width, epsilon });
  const own = head.decoder !== null && parameters.has(head.decoder);
  const weight = own ? head.decoder : wordTable;
  const [first = ""] = head.bias;
  const bias = head.bias.find((name) => parameters.has(name)) ?? first;
  return forms.exact
    .on(normed, { readers: [weight] })
    .dense({ weight, bias }, { inputs: width, outputs: vocabulary });
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

/** Adds `head` and its outputs to the graph. @returns the logits by their outputs' names, of a head that has any */
export function encoderHead(inputs: HeadInputs, head: Head): Logits {
  const { graph } = inputs.parameters;
  switch (head.name) {
    case "none":
      graph.output("last_hidden_state", inputs.hidden);
      return {};
    case "sentence":
      sentenceHead(graph, inputs, head);
      return {};
    case "sequence-classification":
      return sequenceClassification(inputs, head.labels);
    case "token-classification":
      return tokenClassification(inputs, head.labels);
    case "question-answering":
      return questionAnswering(inputs);
    case "masked-lm":
      maskedLm(inputs, head.at);
      return {};
  }
}
