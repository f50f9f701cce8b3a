/** Strings of a JSON text: by what their length is, by one pattern, or by all that is asked of them at once. */
import { type CharacterSet, characters, intersection } from "../character-set.ts";
import { choice, type Expression, never, rule, set, text, type TextState } from "../expression.ts";
import { inQuotes, jsonNames, plainCharacters } from "../json-text.ts";
import { readRegex } from "../read-regex.ts";
import {
  allTexts,
  both,
  isEmpty,
  type Language,
  languageOf,
  languageOfLengths,
  languageOfTexts,
  otherThan,
  trimmed,
} from "../regular.ts";
import { formatPattern } from "./formats.ts";
import type { StringNode } from "./node.ts";

/** @throws StructureError where what is asked at once takes too many states */
export function writeString(node: StringNode): Expression {
  const { min, max, notPatterns, notValues } = node;
  const patterns = patternsOf(node);
  const isPlain = notPatterns.length === 0 && notValues.length === 0;
  const [pattern, second] = patterns;
  if (isPlain && pattern === undefined) {
    if (min === 0 && max === null) return rule(jsonNames.string);
    return max !== null && max < min ? never : inQuotes({ kind: "counted", min, max });
  }
  if (isPlain && pattern !== undefined && second === undefined) {
    const { least, most } = lengthsOf(readRegex(pattern, { anywhere: true }));
    if (least >= min && (max === null || most <= max)) return inQuotes(inJson(pattern));
  }
  return textsInQuotes(stringLanguage(node));
}

/** All that a string may be. @throws StructureError where it takes too many states */
export function stringLanguage(node: StringNode): Language {
  const { min, max, notPatterns, notValues } = node;
  return [
    ...(min === 0 && max === null ? [] : [languageOfLengths(min, max)]),
    ...patternsOf(node).map(ofPattern),
    ...notPatterns.map((pattern) => otherThan(ofPattern(pattern))),
    ...(notValues.length === 0 ? [] : [otherThan(languageOfTexts(notValues))]),
  ].reduce((all, each) => (all === allTexts ? each : both(all, each)), allTexts);
}

function patternsOf({ patterns, formats }: StringNode): string[] {
  return [...patterns, ...formats.map(formatPattern)];
}

export function ofPattern(pattern: string): Language {
  return languageOf(readRegex(pattern, { anywhere: true }));
}

export function textsInQuotes(language: Language): Expression {
  const states = statesInJson(language);
  return isEmpty(states) ? never : inQuotes({ kind: "states", states });
}

/** How many characters a text of an expression has. */
function lengthsOf(expression: Expression): { least: number; most: number } {
  switch (expression.kind) {
    case "text": {
      const { length } = [...expression.text];
      return { least: length, most: length };
    }
    case "sequence":
      return expression.parts
        .map(lengthsOf)
        .reduce((sum, { least, most }) => ({ least: sum.least + least, most: sum.most + most }), {
          least: 0,
          most: 0,
        });
    case "choice": {
      const all = expression.options.map(lengthsOf);
      const leasts = all.map(({ least }) => least);
      return { least: Math.min(...leasts), most: Math.max(...all.map(({ most }) => most)) };
    }
    case "repeat": {
      const { least, most } = lengthsOf(expression.part);
      return { least: least * expression.min, most: most * (expression.max ?? Infinity) };
    }
    default:
      return { least: 1, most: 1 };
  }
}

const escapes: readonly (readonly [string, string])[] = [
  ['"', '"'],
  ["\\", "\\"],
  ["\b", "b"],
  ["\f", "f"],
  ["\n", "n"],
  ["\r", "r"],
  ["\t", "t"],
];

function inJson(pattern: string): Expression {
  return readRegex(pattern, { anywhere: true, write: characterInJson });
}

/** As one of a set is written in a string. Control characters without a short escape are not. */
function characterInJson(of: CharacterSet): Expression {
  const escaped = escapes.flatMap(([character, written]) =>
    intersection(of, characters(character)).length > 0 ? [text(`\\${written}`)] : [],
  );
  return choice(set(intersection(of, plainCharacters)), ...escaped);
}

const backslash = characters("\\");

function statesInJson(language: Language): TextState[] {
  const escaping: TextState[] = [];
  const states = language.map(({ ends, next }) => {
    const plain = next.flatMap(({ set: of, to }) => {
      const shared = intersection(of, plainCharacters);
      return shared.length === 0 ? [] : [{ set: shared, to }];
    });
    const escaped = next.flatMap(({ set: of, to }) =>
      escapes.flatMap(([character, written]) =>
        intersection(of, characters(character)).length > 0
          ? [{ set: characters(written), to }]
          : [],
      ),
    );
    if (escaped.length === 0) return { ends, next: plain };
    const to = language.length + escaping.push({ ends: false, next: escaped }) - 1;
    return { ends, next: [...plain, { set: backslash, to }] };
  });
  return [...trimmed([...states, ...escaping])];
}
