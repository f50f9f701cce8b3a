/** Counts of tagged sentences: by token, with O or without, and by entity. Rows are sentences: they are drawn whole. */
import { addLabel } from "./class-counts.ts";
import { entitiesOfTags, type EntityMode, type TagEntity } from "./entities.ts";
import { requireSameLength } from "./require.ts";
import { type RowCounts, RowCounter, sortedLabels } from "./row-counts.ts";

type Sentences = readonly (readonly string[])[];

export const outsideTag = "O";

/** Throws a RangeError where sentences differ in length. */
export function tokenCounts(
  gold: Sentences,
  predicted: Sentences,
  { withOutside }: { withOutside: boolean },
): RowCounts {
  requireSameSentences(gold, predicted);
  const present = sortedLabels([...gold, ...predicted].flat());
  const labels = withOutside ? present : present.filter((label) => label !== outsideTag);
  const counter = new RowCounter(labels);
  for (const [row, tags] of gold.entries()) {
    for (const [at, meant] of tags.entries()) addLabel(counter, meant, predicted[row]?.[at] ?? "");
    counter.endRow();
  }
  return counter.finish(labels.length === present.length);
}

/** An entity is right where class, start and end are. Throws as entitiesOfTags does. */
export function entityCounts(gold: Sentences, predicted: Sentences, mode: EntityMode): RowCounts {
  requireSameSentences(gold, predicted);
  const meant = gold.map((tags) => entitiesOfTags(tags, mode));
  const said = predicted.map((tags) => entitiesOfTags(tags, mode));
  const counter = new RowCounter(
    sortedLabels([...meant, ...said].flat().map(({ label }) => label)),
  );
  for (const [row, entities] of meant.entries()) {
    const keys = new Set(said[row]?.map(keyOf));
    for (const entity of entities) {
      if (keys.delete(keyOf(entity))) counter.hit(entity.label);
      else counter.expected(entity.label);
    }
    for (const entity of said[row] ?? [])
      if (keys.has(keyOf(entity))) counter.predicted(entity.label);
    counter.endRow();
  }
  return counter.finish(false);
}

function keyOf({ label, start, end }: TagEntity): string {
  return `${start} ${end} ${label}`;
}

function requireSameSentences(gold: Sentences, predicted: Sentences): void {
  requireSameLength(gold, predicted);
  for (const [row, tags] of gold.entries()) {
    const length = predicted[row]?.length ?? 0;
    if (tags.length !== length)
      throw new RangeError(`sentence ${row} has ${tags.length} tags and ${length} predictions`);
  }
}
