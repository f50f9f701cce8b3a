/** Arrays as text: items by their place, so many of them, and so many of one kind. */
import {
  choice,
  empty,
  type Expression,
  isNever,
  never,
  optional,
  repeat,
  sequence,
  StructureError,
  text,
} from "../expression.ts";
import { comma, jsonText } from "../json-text.ts";
import { distinct, fewValues } from "./array-node.ts";
import { accepts, type ArrayNode, type Contained } from "./node.ts";
import type { Writing } from "./writing.ts";

/** Items or keys that are counted one by one. */
export const countedMax = 1_000;
/** Of few values that come once, all orders are written; of more, that of the schema. */
const orderedFrom = 7;

export function writeArray(node: ArrayNode, writing: Writing): Expression {
  if (node.min > countedMax || (node.max ?? 0) > countedMax) throw tooMany("items");
  const { contained } = node;
  const list = node.unique
    ? uniqueItems(node, writing)
    : contained === null
      ? items(node, writing)
      : containing({ ...node, contained }, writing);
  return isNever(list) ? never : sequence(text("["), list, text("]"));
}

function items({ prefix, items: further, min, max }: ArrayNode, { write }: Writing): Expression {
  const each = write(further);
  const most = isNever(each) ? Math.min(max ?? prefix.length, prefix.length) : max;
  if (most !== null && most < min) return never;
  const head = prefix.slice(0, most ?? prefix.length);
  const least = Math.max(0, min - head.length);
  const more = repeat(
    sequence(comma, each),
    head.length === 0 ? Math.max(0, least - 1) : least,
    most === null ? null : Math.max(0, most - Math.max(1, head.length)),
  );
  const after = most === head.length ? empty : more;
  if (head.length === 0) {
    const list = most === 0 || isNever(each) ? empty : sequence(each, after);
    return min === 0 ? optional(list) : list;
  }
  return head.reduceRight<Expression>((rest, node, at) => {
    const item = sequence(at === 0 ? empty : comma, write(node), rest);
    return at < min ? item : choice(empty, item);
  }, after);
}

/** Place by place, with how many items so far were of what is contained. */
function containing(
  node: ArrayNode & { readonly contained: Contained },
  { write, rule }: Writing,
): Expression {
  const { prefix, min, max, contained } = node;
  const counted = contained.max ?? contained.min;
  const places = Math.max(prefix.length, min, max ?? 0, 1);
  if (places * (counted + 1) > 10 * countedMax) throw tooMany("items beside contains");
  const from = (place: number, had: number): Expression =>
    rule(`${place}, ${had}`, () => {
      const ends = place >= min && had >= contained.min ? empty : never;
      if (place === max) return ends;
      const next = max === null ? Math.min(place + 1, places) : place + 1;
      const before = place === 0 ? empty : comma;
      const isFull = contained.max !== null && had === contained.max;
      const of = isFull ? never : write(contained.prefix[place] ?? contained.items);
      const other = write(contained.otherPrefix[place] ?? contained.otherItems);
      return choice(
        ends,
        isNever(of) ? never : sequence(before, of, from(next, Math.min(had + 1, counted))),
        isNever(other) ? never : sequence(before, other, from(next, had)),
      );
    });
  return from(0, 0);
}

/** Each of few values at most once: which of them were had is told by their bits. */
function uniqueItems(
  { prefix, items: further, min, max }: ArrayNode,
  { rule }: Writing,
): Expression {
  const values = distinct([...prefix, further].flatMap((each) => fewValues(each) ?? []));
  const most = Math.min(max ?? values.length, values.length);
  const isOrdered = values.length >= orderedFrom;
  if (isOrdered && prefix.length > 0) {
    throw new StructureError(
      `uniqueItems beside prefixItems is kept to for fewer than ${orderedFrom} values in all`,
    );
  }
  /** @param had bits of those that were had; where they come in order, how many of them came or were left out */
  const from = (had: number, count: number): Expression =>
    rule(`${had}, ${count}`, () => {
      const ends = count >= min ? empty : never;
      if (count === most) return ends;
      const node = prefix[count] ?? further;
      const options = values.flatMap((value, at) => {
        const isOver = isOrdered ? at < had : ((had >> at) & 1) === 1;
        if (isOver || !accepts(node, value, null)) return [];
        const next = from(isOrdered ? at + 1 : had | (1 << at), count + 1);
        return [sequence(count === 0 ? empty : comma, text(jsonText(value)), next)];
      });
      return choice(ends, ...options);
    });
  return from(0, 0);
}

export function tooMany(what: string): StructureError {
  return new StructureError(
    `at most ${countedMax} ${what} can be counted. Ask for fewer, or for any number`,
  );
}
