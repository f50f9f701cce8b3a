/**
 * Entities of texts, with offsets in UTF-16 code units: what token-classification answers, and what relation-extraction
 * relates.
 */
import { CodedError } from "#contract/errors.ts";
import type { Entity } from "#contract/tasks/token-classification.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { softmax } from "../tensor/activations.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { LinearHead } from "../model/linear-head.ts";
import { rowShapes, shapesOf } from "../model/word-shapes.ts";
import {
  type Aggregation,
  type FoundEntity,
  type ScoredToken,
  type TagHead,
  classOf,
  entitiesOf,
  withoutOverlaps,
} from "./entity-groups.ts";
import { entityWords } from "./entity-words.ts";
import { linearLogits } from "./linear-head.ts";
import { type Span, withoutSpace, trimOffsets } from "./offsets.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import type { TaskContext } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import type { TokenCounter } from "./sentence-request.ts";
import { type NamedText, type TextTokens, encodeLong, encodeWhole } from "./text-tokens.ts";
import { isOverlapLowered, windowsOf } from "./windows.ts";

export type EntityRules = {
  aggregation: Aggregation;
  /** Classes left out. */
  ignored: readonly string[];
  /** Tokens that neighbouring windows share; null: a text must fit the model as it is. */
  stride: number | null;
  counter: TokenCounter;
  /** The field that names the model. */
  modelParam: string;
  /** A text was read by windows that share fewer tokens than `stride`. */
  onOverlapLowered?: () => void;
};

/** The tokens of a text that one row holds: they stand in the row from index `start` on, after its special tokens. */
type Window = { text: number; spans: Span[]; words: readonly number[]; start: number };

/** @returns the entities of each text, in its order @throws CodedError; the signal's reason */
export async function findEntities(
  texts: readonly NamedText[],
  model: EncoderModel,
  context: Pick<TaskContext, "run" | "signal" | "reserveOutputs">,
  rules: EntityRules,
): Promise<FoundEntity[][]> {
  const head = tokenHeadOf(model, rules.modelParam);
  const rows: EncoderRow[] = [];
  const windows: Window[] = [];
  const slices = new TimeSlices(context.signal);
  let text = 0;
  for await (const tokens of encode(texts, model, context.signal, rules)) {
    slices.begin();
    const spans = await trimOffsets(tokens.text, tokens.offsets, slices);
    const allWords = entityWords(tokens, model.tokenizer);
    const shapes = model.wordShapes ? shapesOf({ ...tokens, words: allWords }) : null;
    const own = windowRules(model, rules);
    if (isOverlapLowered(tokens.ids.length, own)) rules.onOverlapLowered?.();
    for (const [from, to] of windowsOf(tokens.ids.length, own)) {
      if (slices.over) await slices.next();
      const { ids, starts } = model.tokenizer.wrap(tokens.ids.slice(from, to));
      rules.counter.add({ ids, truncated: false });
      const [start = 0] = starts;
      const place = { start, length: ids.length };
      const given = shapes && { shapes: rowShapes(shapes.slice(from, to), place) };
      rows.push({ ids, outputs: [head.output], ...given });
      const words = allWords.slice(from, to);
      windows.push({ text, spans: spans.slice(from, to), words, start });
    }
    text += 1;
  }
  const ignored = new Set(rules.ignored);
  const byRow = await readRows(rows, model, context, {
    floatsOf: ({ ids }) => ids.length * head.width,
    read(result, index) {
      const window = windows[index];
      if (window === undefined) return [];
      const scored = scoredTokens(window, head.logitsOf(result));
      const entities = entitiesOf(scored, head, rules.aggregation);
      return readable(entities, texts[window.text]?.text ?? "", ignored);
    },
  });
  const byText: FoundEntity[][][] = texts.map(() => []);
  for (const [row, entities] of byRow.entries()) byText[windows[row]?.text ?? 0]?.push(entities);
  slices.begin();
  return slices.map(byText, (parts) =>
    parts.length > 1 ? withoutOverlaps(parts.flat()) : parts.flat(),
  );
}

/** The entities asked for, without white space at their ends; an entity of white space alone is left out. */
function readable(
  entities: readonly FoundEntity[],
  text: string,
  ignored: ReadonlySet<string>,
): FoundEntity[] {
  return entities.flatMap((entity) => {
    if (ignored.has(entity.label)) return [];
    const [start, end] = withoutSpace(text, entity.start, entity.end);
    return start === end ? [] : [{ ...entity, start, end }];
  });
}

/** As callers get it. */
export function toEntity(
  { label, score, start, end }: FoundEntity,
  text: string,
  offsetOf: (offset: number) => number,
): Entity {
  const word = text.slice(start, end);
  const offsets = { start: offsetOf(start), end: offsetOf(end) };
  return { entity_group: classOf(label), entity: label, score, word, ...offsets };
}

function encode(
  texts: readonly NamedText[],
  model: EncoderModel,
  signal: AbortSignal,
  { stride, counter }: EntityRules,
): AsyncGenerator<TextTokens> {
  if (stride !== null) return encodeLong(texts, model.tokenizer, { counter, signal });
  const fix = "Shorten or split it, or set stride to have it read by windows that overlap.";
  return encodeWhole(texts, model, { signal, fix });
}

function windowRules({ limits: own, tokenizer }: EncoderModel, { stride }: EntityRules) {
  const room = own.maxTokens - tokenizer.specialTokens.single;
  return { room, overlap: stride ?? 0 };
}

function scoredTokens(window: Window, logits: (token: number) => Float32Array): ScoredToken[] {
  return window.spans.map((span, at) => ({
    span,
    word: window.words[at] ?? at,
    scores: softmax(logits(window.start + at)),
  }));
}

type TokenHead = TagHead & {
  readonly output: OutputName;
  /** Numbers of the output for one token. */
  readonly width: number;
  /** Logits `[labels]` of a row's token. */
  logitsOf(result: RowResult): (token: number) => Float32Array;
};

/** @throws CodedError for a model that classifies no tokens */
export function tokenHeadOf(
  { head, id }: Pick<EncoderModel, "head" | "id">,
  param: string,
): TokenHead {
  if (head.name !== "token-classification") {
    throw new CodedError("invalid_value", `${id} finds no entities: it does not classify tokens`, {
      param,
    });
  }
  const { labels, linear, decoding } = head;
  const tags: TagHead = { labels, ...(decoding && { decoding }) };
  if (linear !== null) return linearTokenHead(tags, linear);
  const width = labels.length;
  return {
    ...tags,
    output: "logits",
    width,
    logitsOf: ({ logits = new Float32Array() }) => sliceOf(logits, width),
  };
}

function linearTokenHead(tags: TagHead, linear: LinearHead): TokenHead {
  const width = linear.weight.length / linear.bias.length;
  return {
    ...tags,
    output: "last_hidden_state",
    width,
    logitsOf({ last_hidden_state: states = new Float32Array() }) {
      const vectorOf = sliceOf(states, width);
      return (token) => linearLogits(vectorOf(token), linear);
    },
  };
}

const sliceOf = (values: Float32Array, width: number) => (token: number) =>
  values.subarray(token * width, (token + 1) * width);
