/**
 * Which of the request's labels fit a text. Each label in its template is a hypothesis. A classifier trained for
 * entailment reads the text beside each hypothesis, and its logits become scores as in transformers'
 * ZeroShotClassificationPipeline. A sentence encoder compares vectors, that of a hypothesis made once per request:
 * scores are the softmax of the scaled cosines, or, where each label is scored independently, the cosine (0 where that
 * is negative). A single label is scored independently.
 */
import { type EntailmentClasses, entailmentClasses } from "#contract/entailment.ts";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import { dot, toUnitLength } from "../tensor/vectors.ts";
import {
  InputEncoder,
  type InputRules,
  type InputTokens,
  type NamedInput,
} from "./encode-input.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { EncoderPipeline, TaskContext } from "./pipeline.ts";
import { taskPrompt } from "./prompts.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize, labelsBytes } from "./result-size.ts";
import { rankLabels } from "./scores.ts";
import { TokenCounter, namedInputs, rowsOf } from "./sentence-request.ts";
import { type SequenceHead, sequenceHeadOf } from "./sequence-head.ts";

/**
 * What cosines are multiplied with before the softmax: 1 / 0.05, the scale under which sentence encoders are trained to
 * tell the text of a pair from others (`scale` of sentence-transformers' MultipleNegativesRankingLoss).
 */
const cosineScale = 20;

type Hypothesis = NamedInput & { label: string };

type Question = {
  inputs: readonly string[];
  hypotheses: readonly Hypothesis[];
  truncate: boolean;
  /** Score each label by itself, without the others. */
  independent: boolean;
  counter: TokenCounter;
};

type Scorer = {
  method: "entailment" | "similarity";
  /** Where the request has none. */
  template: string;
  /** Per input, the score of each hypothesis. */
  scoresOf(question: Question, model: EncoderModel, context: TaskContext): Promise<number[][]>;
};

export const zeroShotClassification: EncoderPipeline<"zero-shot-classification"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const scorer = scorerOf(model);
    const { candidate_labels: labels, multi_label: several = false, truncate = false } = parameters;
    const hypotheses = hypothesesOf(labels, parameters.hypothesis_template ?? scorer.template);
    const independent = several || hypotheses.length === 1;
    const counter = new TokenCounter();
    const question = { inputs, hypotheses, truncate, independent, counter };
    const names = hypotheses.map(({ label }) => label);
    const fix = "Send fewer inputs, or fewer or shorter labels.";
    const size = new ResultSize(context, { param: "candidate_labels", fix });
    await size.expect(inputs.length * labelsBytes(names));
    const scores = await scorer.scoresOf(question, model, context);
    const repeated = labels.length - names.length;
    return {
      outputs: await new TimeSlices(context.signal).map(scores, (each) => rankLabels(names, each)),
      usage: counter.usage(),
      warnings: [
        ...(repeated === 0 ? [] : [`candidate_labels: ${repeated} repeated labels were left out`]),
        ...counter.warnings(model.limits.maxTokens),
      ],
      method: scorer.method,
    };
  },
};

/** @throws CodedError for a model that can do neither */
function scorerOf(model: EncoderModel): Scorer {
  const head = sequenceHeadOf(model);
  const classes = head === null ? null : entailmentClasses(head.labels);
  if (head !== null && classes !== null) return byEntailment(head, classes);
  if (model.sentence !== null) return bySimilarity;
  throw new CodedError(
    "invalid_value",
    `${model.id} classifies by no labels of the request: ` +
      "it was not trained for entailment and makes no sentence vectors",
    { param: "model" },
  );
}

/** Each label once. */
function hypothesesOf(labels: readonly string[], template: string): Hypothesis[] {
  if (!template.includes("{}")) {
    throw new CodedError(
      "invalid_value",
      'hypothesis_template must hold {}, where the label goes, as in "This example is {}."',
      { param: "hypothesis_template" },
    );
  }
  const occurrences = template.split("{}").length - 1;
  const characters = labels.reduce(
    (sum, { length }) => sum + template.length + occurrences * length,
    0,
  );
  if (characters > limits.stringCharactersMax) {
    throw new CodedError(
      "invalid_value",
      `hypothesis_template with each of candidate_labels makes ${characters} characters, ` +
        `at most ${limits.stringCharactersMax} are read. Shorten it, or let {} stand in it once.`,
      { param: "hypothesis_template" },
    );
  }
  return [...new Set(labels)].map((label) => ({
    label,
    input: template.replaceAll("{}", () => label),
    name: `candidate_labels[${labels.indexOf(label)}]`,
  }));
}

function byEntailment(head: SequenceHead, classes: EntailmentClasses): Scorer {
  return {
    method: "entailment",
    template: "This example is {}.",
    async scoresOf(question, model, context) {
      const rows = await pairsOf(question, head, encodersOf(model, context, ""));
      const all = await readRows(rows, model, context, {
        floatsOf: head.floatsOf,
        read: (result) => head.logitsOf(result),
      });
      const count = question.hypotheses.length;
      return new TimeSlices(context.signal).map(question.inputs, (_, at) => {
        const logits = all.slice(at * count, (at + 1) * count);
        if (question.independent) return logits.map((each) => entailed(each, classes));
        return softmax(logits.map((each) => each[classes.entailment] ?? 0));
      });
    },
  };
}

/** Entailment against contradiction. */
function entailed(
  logits: Float32Array,
  { entailment: yes, contradiction: no }: EntailmentClasses,
): number {
  return sigmoid((logits[yes] ?? 0) - (logits[no] ?? 0));
}

/** Each text beside each hypothesis; only the text is cut. */
async function pairsOf(
  { inputs, hypotheses, truncate, counter }: Question,
  { outputs }: SequenceHead,
  encoderOf: EncoderOf,
): Promise<EncoderRow[]> {
  const encoded: InputTokens[] = [];
  for await (const tokens of encoderOf(whole).tokens(hypotheses)) encoded.push(tokens);
  const encoder = encoderOf({ truncate });
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices();
  counter.expect(inputs.length * hypotheses.length, encoder.tokensMin);
  for await (const text of encoder.tokens(namedInputs(inputs))) {
    if (slices.over) await slices.next();
    const pairs = encoded.map((hypothesis) => encoder.pair(text, hypothesis, "first"));
    counter.add(...pairs);
    for (const pair of pairs) rows.push({ ...pair, outputs });
  }
  return rows;
}

const bySimilarity: Scorer = {
  method: "similarity",
  template: "{}",
  async scoresOf({ inputs, hypotheses, truncate, independent, counter }, model, context) {
    const encoderOf = encodersOf(model, context, taskPrompt(model, "classification"));
    const counted = { counter, outputs: ["sentence_embedding"] } as const;
    const rows = [
      ...(await rowsOf(hypotheses, encoderOf(whole), counted)),
      ...(await rowsOf(namedInputs(inputs), encoderOf({ truncate }), counted)),
    ];
    const labels: Float32Array[] = [];
    const scores: number[][] = [];
    await readRows(rows, model, context, {
      floatsOf: () => model.limits.dimensions ?? 0,
      read({ sentence_embedding: vector = new Float32Array() }, row) {
        const unit = toUnitLength(vector);
        if (row < hypotheses.length) {
          labels.push(unit);
          return;
        }
        const cosines = labels.map((label) => dot(unit, label));
        scores.push(
          independent ? cosines.map(clamp) : softmax(cosines.map((each) => each * cosineScale)),
        );
      },
    });
    return scores;
  },
};

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

type EncoderOf = (cutting: Pick<InputRules, "truncate" | "neverCut">) => InputEncoder;

/** Labels are never cut, texts where that is wanted. */
const whole = { truncate: false, neverCut: true } as const;

/** @param prompt before each */
function encodersOf(model: EncoderModel, { signal }: TaskContext, prompt: string): EncoderOf {
  return (cutting) =>
    new InputEncoder(model, { ...cutting, truncationDirection: "right", prompt }, signal);
}
