/**
 * Classes of tokens to entities, by the rules of transformers' TokenClassificationPipeline: tokens that follow each
 * other with the same class are one entity, unless the later one begins with B-. Under first, average and max all
 * tokens of a word first agree on one class. One difference: of a class named `group-b` nothing but a letter before the
 * hyphen is taken off.
 */
import type { TaskParameters } from "#contract/tasks.ts";
import type { TagDecoding } from "../model/model-head.ts";
import { iob2Path } from "./iob2-path.ts";
import type { Span } from "./offsets.ts";

export type Aggregation = NonNullable<
  TaskParameters<"token-classification">["aggregation_strategy"]
>;

export type ScoredToken = {
  readonly span: Span;
  /** Which word it is part of. */
  readonly word: number;
  /** By class, 1 in all. */
  readonly scores: readonly number[];
};

/** A part of a text and its class, as the model names it or, of a group, without its letter. */
export type FoundEntity = { label: string; score: number; start: number; end: number };

/** @param head whose tags are IOB2's, where it says so, has its groups by the likeliest of those allowed */
export function entitiesOf(
  tokens: readonly ScoredToken[],
  { labels, decoding }: TagHead,
  aggregation: Aggregation,
): FoundEntity[] {
  if (aggregation === "none") return unitsOf(tokens.map(single), labels, null);
  const units =
    aggregation === "simple"
      ? tokens.map(single)
      : wordsOf(tokens).map((word) => ({ tokens: word, scores: wordScores[aggregation](word) }));
  return group(unitsOf(units, labels, decoding ?? null));
}

export type TagHead = {
  readonly labels: readonly string[];
  /** Absent: each word by itself. */
  readonly decoding?: TagDecoding;
};

type Unit = { readonly tokens: readonly ScoredToken[]; readonly scores: readonly number[] };

const single = (token: ScoredToken): Unit => ({ tokens: [token], scores: token.scores });

function unitsOf(
  units: readonly Unit[],
  labels: readonly string[],
  decoding: TagDecoding | null,
): FoundEntity[] {
  const scores = units.map((unit) => unit.scores);
  const classes = decoding === "iob2" ? iob2Path(scores, labels) : scores.map(bestOf);
  return units.map((unit, at) => found(unit, classes[at] ?? 0, labels));
}

/** Without the prefix of a tagging scheme (B- and I-; S-, E-, L- and U- of other schemes). */
export function classOf(label: string): string {
  return label.replace(/^[A-Za-z]-/, "");
}

/** The class that tokens of one entity share: as in transformers, only the prefixes B- and I- are known. */
function tagOf(label: string): string {
  return label.replace(/^[BI]-/, "");
}

/**
 * Of entities that overlap, as those of neighbouring windows do, the longest, else the best score. In the order of the
 * text.
 */
export function withoutOverlaps(entities: readonly FoundEntity[]): FoundEntity[] {
  const kept: FoundEntity[] = [];
  for (const entity of entities.toSorted((a, b) => a.start - b.start)) {
    const last = kept.at(-1);
    if (last === undefined || entity.start >= last.end) kept.push(entity);
    else if (isBetter(entity, last)) kept[kept.length - 1] = entity;
  }
  return kept;
}

function isBetter(entity: FoundEntity, last: FoundEntity): boolean {
  const longer = entity.end - entity.start - (last.end - last.start);
  return longer > 0 || (longer === 0 && entity.score > last.score);
}

function found(
  { tokens, scores }: Unit,
  classOfUnit: number,
  labels: readonly string[],
): FoundEntity {
  return {
    label: labels[classOfUnit] ?? "",
    score: scores[classOfUnit] ?? 0,
    start: tokens[0]?.span[0] ?? 0,
    end: tokens.at(-1)?.span[1] ?? 0,
  };
}

function bestOf(scores: readonly number[]): number {
  return scores.reduce((best, score, at) => (score > (scores[best] ?? 0) ? at : best), 0);
}

function wordsOf(tokens: readonly ScoredToken[]): ScoredToken[][] {
  const words: ScoredToken[][] = [];
  for (const token of tokens) {
    const last = words.at(-1);
    if (last?.[0]?.word === token.word) last.push(token);
    else words.push([token]);
  }
  return words;
}

type WordScores = (word: readonly ScoredToken[]) => readonly number[];

/** The scores of a word, of at least one token, from its tokens' own. */
const wordScores: Readonly<Record<Exclude<Aggregation, "none" | "simple">, WordScores>> = {
  first: ([first]) => first?.scores ?? [],
  max: (word) => word[bestOf(word.map(({ scores }) => scores[bestOf(scores)] ?? 0))]?.scores ?? [],
  average: (word) =>
    (word[0]?.scores ?? []).map(
      (_, at) => word.reduce((sum, { scores }) => sum + (scores[at] ?? 0), 0) / word.length,
    ),
};

function group(units: readonly FoundEntity[]): FoundEntity[] {
  const groups: FoundEntity[][] = [];
  for (const unit of units) {
    const last = groups.at(-1);
    const before = last?.at(-1);
    const continues =
      before !== undefined &&
      tagOf(before.label) === tagOf(unit.label) &&
      !unit.label.startsWith("B-");
    if (continues) last?.push(unit);
    else groups.push([unit]);
  }
  return groups.map((members) => ({
    label: classOf(members[0]?.label ?? ""),
    score: members.reduce((sum, { score }) => sum + score, 0) / members.length,
    start: members[0]?.start ?? 0,
    end: members.at(-1)?.end ?? 0,
  }));
}
