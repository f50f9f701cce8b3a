/**
 * Multiples of a step as decimal digits, and numbers that are none: an automaton whose states are what is left of the
 * digits so far. Exact where binary fractions are not: 0.07 is a multiple of 0.01.
 */
import { charactersOf, characters } from "../character-set.ts";
import { choice, type Expression, StructureError, text, type TextState } from "../expression.ts";
import { type Language, smallest } from "../regular.ts";
import { atScale, type Decimal, decimalOf, isMultiple } from "../decimal.ts";
import type { Bound, NumberNode } from "./node.ts";

const valuesMax = 1_000;
const stepMax = 1_000;

/** Whether they can be told: of few digits as an automaton, otherwise each by itself. */
export function areTold(node: NumberNode): boolean {
  return node.step === null || node.step.digits <= BigInt(stepMax) || fewMultiples(node) !== null;
}

export const toldMultiples =
  `multipleOf is kept to for at most ${stepMax} in units of its last digit, and otherwise between a minimum and a ` +
  `maximum that leave at most ${valuesMax} values`;

/** Digits without a sign, with a point or without, however many. @throws StructureError */
export function multiplesOf(step: Decimal): Language {
  if (step.digits > BigInt(stepMax)) throw new StructureError(toldMultiples);
  const { scale } = step;
  const modulo = Number(step.digits);
  /** Before the point, and after each digit behind it. */
  const state = (places: number, rest: number) => (places + 1) * modulo + rest;
  const states: TextState[] = [];
  for (let places = -1; places <= scale; places += 1) {
    const left = Number(10n ** BigInt(scale - Math.max(0, places)) % BigInt(modulo));
    for (let rest = 0; rest < modulo; rest += 1) {
      const isEnd = (rest * left) % modulo === 0;
      states.push({
        ends: isEnd,
        next: [
          ...(places < scale
            ? digitEdges((digit) => {
                const to = places === -1 ? -1 : places + 1;
                return state(to, (rest * 10 + digit) % modulo);
              })
            : []),
          ...(places === -1 ? [{ set: characters("."), to: state(0, rest) }] : []),
          ...(places === scale && isEnd ? [{ set: characters("0"), to: state(places, rest) }] : []),
        ],
      });
    }
  }
  return smallest(states);
}

function digitEdges(to: (digit: number) => number): TextState["next"] {
  return Array.from({ length: 10 }, (_, digit) => ({
    set: charactersOf([[0x30 + digit, 0x30 + digit]]),
    to: to(digit),
  }));
}

/** Each by itself. Null: there is no end of them, or too many. */
export function fewMultiples({ low, high, step, notSteps }: NumberNode): Expression | null {
  if (low === null || high === null || step === null) return null;
  const bounds = [decimalOf(low.value), decimalOf(high.value)] as const;
  const scale = Math.max(step.scale, ...bounds.map((bound) => bound.scale));
  const [from, to] = [atScale(bounds[0], scale), atScale(bounds[1], scale)];
  const by = atScale(step, scale);
  if ((to - from) / by > BigInt(valuesMax)) return null;
  const texts: string[] = [];
  const first = from >= 0n ? (from + by - 1n) / by : from / by;
  for (let times = first; times * by <= to; times += 1n) {
    const value = times * by;
    const written = decimalText(value, scale);
    const isOpen = isAt(low, value, from) || isAt(high, value, to);
    if (isOpen || notSteps.some((other) => isMultiple(Number(written), other))) continue;
    texts.push(written);
  }
  return choice(...texts.map(text));
}

/** Whether it is a bound that is not one of the values. */
function isAt({ inclusive }: Bound, value: bigint, bound: bigint): boolean {
  return !inclusive && value === bound;
}

function decimalText(value: bigint, scale: number): string {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${value < 0n ? "-" : ""}${whole}${scale === 0 || fraction === "" ? "" : `.${fraction}`}`;
}
