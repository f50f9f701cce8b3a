/**
 * How parts of a text are related. A text with marks: the classes of its two marked parts. One without: another model
 * finds its entities, and every ordered pair of them gets its best class.
 */
import { CodedError } from "#contract/errors.ts";
import type { MarkedText } from "#contract/relation-marks.ts";
import type { TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { type RelatedPair, relatedEntitiesMax } from "#contract/tasks/relation-extraction.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sum } from "../tensor/vectors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { FoundEntity } from "./entity-groups.ts";
import { findEntities, toEntity } from "./find-entities.ts";
import { readMarks } from "./marked-spans.ts";
import { offsetConverter } from "./offsets.ts";
import type { EncoderPipeline, TaskContext } from "./pipeline.ts";
import { type Pair, type RelationHead, relationHeadOf } from "./relation-head.ts";
import { ResultSize, labelsBytes } from "./result-size.ts";
import { order, rankLabels } from "./scores.ts";
import { TokenCounter } from "./sentence-request.ts";
import type { NamedText } from "./text-tokens.ts";

type Parameters = TaskParameters<"relation-extraction">;
type Output = TaskOutput<"relation-extraction">;

type Question = NamedText & {
  /** Null: the text has no marks. */
  marked: MarkedText | null;
  /** Those to relate, where it has none. */
  entities: FoundEntity[];
};

export const relationExtraction: EncoderPipeline<"relation-extraction"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const head = relationHeadOf(model);
    const counter = new TokenCounter();
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const questions = texts.map((text): Question => ({
      ...text,
      marked: readMarks(text),
      entities: [],
    }));
    const bare = questions.filter(({ marked }) => marked === null);
    await fillEntities(bare, await entityModelFor(bare, { parameters, model, context }), {
      context,
      counter,
    });
    checkPairs(bare);
    const slices = new TimeSlices(context.signal);
    const size = new ResultSize(context, { param: "top_k", fix: tooLarge });
    await size.expect(sum(questions.map((question) => bytesOf(question, head, parameters))));
    const pairs = await slices.map(questions, pairsOf);
    const scores = await head.scores(pairs.flat(), { model, context, counter });
    let next = 0;
    const outputs = await slices.map(questions, (question, at) => {
      const own = scores.slice(next, (next += pairs[at]?.length ?? 0));
      return answerOf(question, own, { head, parameters });
    });
    return { outputs, usage: counter.usage(), warnings: [] };
  },
};

const tooLarge = "Lower top_k, or send fewer texts, or shorter ones.";
const pairsAmong = ({ entities: { length } }: Question) => length * (length - 1);

/** Of all texts together: a model may run once for each pair, on its text with two parts marked. */
const pairsMax = 32_768;
const pairCharactersMax = 2 ** 23;

/** @throws CodedError where the entities that were found make more pairs than one request may hold */
function checkPairs(bare: readonly Question[]): void {
  const pairs = sum(bare.map(pairsAmong));
  const characters = sum(bare.map((question) => pairsAmong(question) * question.text.length));
  if (pairs <= pairsMax && characters <= pairCharactersMax) return;
  throw new CodedError(
    "invalid_value",
    `The entities of the inputs make ${pairs} pairs, which stand in ${characters} characters in all; ` +
      `one request holds at most ${pairsMax} pairs and ${pairCharactersMax} characters. ` +
      "Send fewer texts, or shorter ones.",
    { param: "inputs" },
  );
}

/** Bytes of an entity as JSON besides its class and words, and of a related pair besides its entities. */
const entityBytes = 72;
const pairBytes = 44;

function bytesOf(question: Question, { labels }: RelationHead, { top_k: topK }: Parameters) {
  const { marked, entities } = question;
  if (marked !== null) return labelsBytes(labels, topK);
  const pairs = pairsAmong(question);
  if (pairs === 0) return 0;
  const entity = sum(entities.map(({ label, start, end }) => 2 * label.length + end - start));
  const each = pairBytes + 2 * (entityBytes + entity / entities.length);
  return Math.min(topK ?? pairs, pairs) * each;
}

type Extraction = {
  parameters: Parameters;
  model: EncoderModel;
  context: Pick<TaskContext, "acquire">;
};

/** Null where no text needs one. @throws CodedError where one is needed and none is named */
async function entityModelFor(
  bare: readonly Question[],
  { parameters, model, context }: Extraction,
): Promise<EncoderModel | null> {
  const [first] = bare;
  if (first === undefined) return null;
  const id = parameters.entity_model ?? model.entityModel;
  if (id !== null) return context.acquire(id);
  throw new CodedError(
    "invalid_value",
    `${first.name} has no marked parts, and ${model.id} names no model that finds entities. Mark two parts, as in ` +
      "<e1>storm</e1> caused the <e2>flood</e2>, or set entity_model to a model for token-classification.",
    { param: "entity_model" },
  );
}

async function fillEntities(
  bare: readonly Question[],
  entityModel: EncoderModel | null,
  { context, counter }: { context: TaskContext; counter: TokenCounter },
): Promise<void> {
  if (entityModel === null) return;
  const found = await findEntities(bare, entityModel, context, {
    aggregation: "simple",
    ignored: ["O"],
    stride: null,
    counter,
    modelParam: "entity_model",
  });
  for (const [index, question] of bare.entries()) {
    question.entities = found[index] ?? [];
    if (question.entities.length <= relatedEntitiesMax) continue;
    throw new CodedError(
      "invalid_value",
      `${question.name} holds ${question.entities.length} entities, ` +
        `but at most ${relatedEntitiesMax} of one text are related. Split it.`,
      { param: question.name },
    );
  }
}

/** Each entity with each other one, the first of the text first. */
function orderedPairs(entities: readonly FoundEntity[]): [FoundEntity, FoundEntity][] {
  return entities.flatMap((head) =>
    entities.flatMap((tail): [FoundEntity, FoundEntity][] => (head === tail ? [] : [[head, tail]])),
  );
}

function pairsOf({ text, name, marked, entities }: Question): Pair[] {
  if (marked !== null) return [{ ...marked, name }];
  return orderedPairs(entities).map(([head, tail]) => ({
    text,
    name,
    head: [head.start, head.end],
    tail: [tail.start, tail.end],
  }));
}

type AnswerOptions = { head: RelationHead; parameters: Parameters };

function answerOf(
  { text, marked, entities }: Question,
  scores: readonly (readonly number[])[],
  { head: { labels }, parameters }: AnswerOptions,
): Output {
  const { top_k: topK, offset_unit: unit } = parameters;
  if (marked !== null) return rankLabels(labels, scores[0] ?? [], topK);
  const offsetOf = offsetConverter(text, unit);
  const named = new Map(entities.map((each) => [each, toEntity(each, text, offsetOf)]));
  const related = orderedPairs(entities).flatMap(([head, tail], at): RelatedPair[] => {
    const [first, second] = [named.get(head), named.get(tail)];
    if (first === undefined || second === undefined) return [];
    const ends = { head: first, tail: second };
    return rankLabels(labels, scores[at] ?? [], 1).map((best) => ({ ...best, ...ends }));
  });
  return order(related.map(({ score }) => score))
    .slice(0, topK ?? related.length)
    .flatMap((at) => related[at] ?? []);
}
