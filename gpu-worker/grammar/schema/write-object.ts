/** Objects as text: members in the order of the schema, then those under other keys. */
import {
  choice,
  empty,
  type Expression,
  isNever,
  never,
  repeat,
  sequence,
  StructureError,
  text,
} from "../expression.ts";
import { colon, comma } from "../json-text.ts";
import type { ObjectNode } from "./node.ts";
import { countedMax, tooMany } from "./write-array.ts";
import type { Writing } from "./writing.ts";
import { textsInQuotes } from "./write-string.ts";

type Member = { readonly required: boolean; readonly body: Expression };
/** What is left to do: members that may come, and other keys, of which any number may. */
type Members = {
  readonly members: readonly Member[];
  readonly others: Expression;
  readonly min: number;
  readonly max: number | null;
};

/** Of members, each with each number of those before it. */
const placesMax = 10_000;

export function writeObject(node: ObjectNode, writing: Writing): Expression {
  const all = node.properties.map(({ name, node: value, required }) => ({
    required,
    body: sequence(text(JSON.stringify(name)), colon, writing.write(value)),
  }));
  if (all.some(({ body, required }) => required && isNever(body))) return never;
  const members = all.filter(({ body }) => !isNever(body));
  const others = choice(
    ...node.others.flatMap(({ keys, node: value, implied }) => {
      const written = implied ? never : writing.write(value);
      if (isNever(written)) return [];
      const member = sequence(textsInQuotes(keys()), colon, written);
      return isNever(member) ? [] : [member];
    }),
  );
  const { min, max } = node;
  if ((max ?? 0) > countedMax && !isNever(others)) throw tooMany("keys");
  // One key may come twice, which counts once.
  if (!isNever(others) && min > members.length + 1) {
    throw new StructureError(
      "minProperties is kept to where properties are named, and at most one besides is needed",
    );
  }
  const inside = inOrder({ members, others, min, max }, writing);
  return isNever(inside) ? never : sequence(text("{"), inside, text("}"));
}

function inOrder({ members, others, min, max }: Members, { rule }: Writing): Expression {
  const isClosed = isNever(others);
  const mostMatters = max !== null && (!isClosed || max < members.length);
  const counted = Math.max(1, min, mostMatters ? max : 0);
  if (counted > 1 && counted * members.length > placesMax) {
    throw new StructureError(
      `minProperties and maxProperties are kept to for at most ${placesMax} properties times their number`,
    );
  }
  const next = (had: number, more = 1) => Math.min(counted, had + more);
  /** @param had members so far, as far as they are counted */
  const from = (at: number, had: number): Expression => {
    const found = members.findIndex(({ required }, each) => each >= at && !required);
    const end = found === -1 ? members.length : found;
    const run = members.slice(at, end);
    if (mostMatters && had + run.length > (max ?? 0)) return never;
    const bodies = run.flatMap(({ body }, each) => [had + each === 0 ? empty : comma, body]);
    return sequence(...bodies, option(end, next(had, run.length)));
  };
  /** At a member that may be left out, or behind all. */
  const option = (at: number, had: number): Expression => {
    const member = members[at];
    if (member === undefined) return last(had);
    return rule(`${at}, ${had}`, () => {
      const isFull = mostMatters && had >= (max ?? 0);
      const before = had === 0 ? empty : comma;
      const taken = isFull ? never : from(at + 1, next(had));
      return choice(
        isNever(taken) ? never : sequence(before, member.body, taken),
        from(at + 1, had),
      );
    });
  };
  const last = (had: number): Expression => {
    const needed = Math.max(0, min - had);
    if (needed > 1 || (needed === 1 && isClosed)) return never;
    if (isClosed) return empty;
    const room = max === null ? null : max - had;
    if (room !== null && room < needed) return never;
    if (had > 0) return repeat(sequence(comma, others), needed, room);
    const more = repeat(sequence(comma, others), 0, room === null ? null : Math.max(0, room - 1));
    const list = room === 0 ? empty : sequence(others, more);
    return needed > 0 || room === 0 ? list : choice(empty, list);
  };
  return from(0, 0);
}
