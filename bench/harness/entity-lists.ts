/**
 * Who, which organisations and where, of a sentence, as lists of strings: read from tagged sentences (CoNLL-2003,
 * IOB2), from what a model wrote, and compared. A text counts once in its list; capitals and spaces count too.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import * as z from "zod";
import { randomFrom } from "../../contract/random.ts";
import { sharedFolder } from "./corpus.ts";

const listNames = ["persons", "organisations", "locations"] as const;
export type EntityLists = Record<(typeof listNames)[number], readonly string[]>;
export type TaggedSentence = { readonly text: string; readonly lists: EntityLists };

/** Longer lists and names are not in the data; a model that repeats itself ends by them. */
const list = { type: "array", items: { type: "string", maxLength: 60 }, maxItems: 10 } as const;

export const listsSchema = {
  type: "object",
  properties: Object.fromEntries(listNames.map((name) => [name, list])),
  required: [...listNames],
  additionalProperties: false,
};

/** Of MISC nothing is asked. */
const listOfTag: Readonly<Record<string, keyof EntityLists>> = {
  PER: "persons",
  ORG: "organisations",
  LOC: "locations",
};

const Line = z.object({ tokens: z.array(z.string()), tags: z.array(z.string()) });

/** Headlines of a word or two say little, and the longest tables of results would fill the time. */
const tokensMin = 5;
const tokensMax = 40;

/** The same sentences for the same seed, out of a file of `../shared/data`. */
export function taggedSentences(file: string, count: number, seed: number): TaggedSentence[] {
  const random = randomFrom(seed);
  return readFileSync(path.join(sharedFolder, "data", file), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => ({ ...Line.parse(JSON.parse(line)), place: random() }))
    .filter(({ tokens }) => tokens.length >= tokensMin && tokens.length <= tokensMax)
    .toSorted((a, b) => a.place - b.place)
    .slice(0, count)
    .map(({ tokens, tags }) => ({ text: tokens.join(" "), lists: listsOf(tokens, tags) }));
}

function listsOf(tokens: readonly string[], tags: readonly string[]): EntityLists {
  const lists: Record<keyof EntityLists, string[]> = {
    persons: [],
    organisations: [],
    locations: [],
  };
  for (const [at, tag] of tags.entries()) {
    const name = tag.startsWith("B-") ? listOfTag[tag.slice(2)] : undefined;
    if (name === undefined) continue;
    const inside = `I-${tag.slice(2)}`;
    let end = at + 1;
    while (tags[end] === inside) end += 1;
    lists[name].push(tokens.slice(at, end).join(" "));
  }
  return lists;
}

const Written = z.record(z.string(), z.unknown());
const Strings = z
  .array(z.unknown())
  .transform((items) => items.filter((x) => typeof x === "string"));

/** The first JSON object of a text that has one of the lists, whatever stands around it; null where there is none. */
export function listsFound(text: string): EntityLists | null {
  for (const { index: from } of text.matchAll(/\{/g)) {
    const ends = [...text.slice(from).matchAll(/\}/g)].map(({ index }) => from + index + 1);
    const found = ends.map((end) => listsIn(text.slice(from, end))).find((lists) => lists !== null);
    if (found !== undefined) return found;
  }
  return null;
}

function listsIn(json: string): EntityLists | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const { data: written } = Written.safeParse(value);
  if (written === undefined || !listNames.some((name) => name in written)) return null;
  const listAt = (name: string) => Strings.safeParse(written[name]).data ?? [];
  return {
    persons: listAt("persons"),
    organisations: listAt("organisations"),
    locations: listAt("locations"),
  };
}

export type Matches = { right: number; written: number; wanted: number };

/** What was written beside what was wanted; nothing where nothing could be read. */
export function matchesOf(wanted: EntityLists, written: EntityLists | null): Matches {
  const sum = { right: 0, written: 0, wanted: 0 };
  for (const name of listNames) {
    const [ours, theirs] = [new Set(written?.[name]), new Set(wanted[name])];
    sum.right += [...ours].filter((text) => theirs.has(text)).length;
    sum.written += ours.size;
    sum.wanted += theirs.size;
  }
  return sum;
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Over all lists of all sentences at once, 0…1. */
export function microFigures(
  all: readonly Matches[],
): Record<"precision" | "recall" | "f1", number> {
  const total = (of: keyof Matches) => all.reduce((sum, each) => sum + each[of], 0);
  const [right, written, wanted] = [total("right"), total("written"), total("wanted")];
  return {
    precision: share(right, written),
    recall: share(right, wanted),
    f1: share(2 * right, written + wanted),
  };
}
