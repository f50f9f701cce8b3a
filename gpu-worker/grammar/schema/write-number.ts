/**
 * Numbers between bounds as decimal digits: of each length of the part before the point, the digits that keep to the
 * bounds, one by one. At most 15 digits in all, so that no two texts are the same number, and none is rounded beyond a
 * bound.
 */
import { charactersOf } from "../character-set.ts";
import {
  choice,
  empty,
  type Expression,
  isNever,
  never,
  optional,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "../expression.ts";
import { type Decimal, plainDigits } from "../decimal.ts";
import { digit, digitsMax, integer, jsonNames } from "../json-text.ts";
import { both, isEmpty, languageOf, otherThan } from "../regular.ts";
import type { Bound, NumberNode } from "./node.ts";
import { fewMultiples, multiplesOf } from "./write-multiples.ts";

/** Digits after the point, where bounds have fewer. */
const fractionDigits = 6;
/** Of multiples of a decimal fraction that have no bound: other programs tell them with binary fractions. */
const fractionMultipleDigits = 9;
const largest = 10 ** digitsMax - 1;

/** @throws StructureError for multiples that cannot be told */
export function writeNumber(node: NumberNode): Expression {
  const { integer: whole, low, high, step, notSteps } = node;
  const few = fewMultiples(node);
  if (few !== null) return few;
  const isPlain = step === null && notSteps.length === 0;
  if (isPlain && low === null && high === null) return whole ? integer : rule(jsonNames.number);
  const fraction = whole ? 0 : (step?.scale ?? fractionDigits);
  const kept = (from: Bound, to: Bound | null) =>
    keptTo(magnitudes(from, step === null ? to : capped(from, to, step), fraction), node);
  const positive = kept(atLeastZero(low), high);
  const negative = kept(aboveZero(negated(high)), negated(low));
  return choice(positive, sequence(text("-"), negative));
}

/** Of numbers without a sign, those that are multiples of what they must be, and of nothing that they must not be. */
function keptTo(numbers: Expression, { step, notSteps }: NumberNode): Expression {
  if ((step === null && notSteps.length === 0) || isNever(numbers)) return numbers;
  const steps = step === null ? [] : [multiplesOf(step)];
  const others = notSteps.map((each) => otherThan(multiplesOf(each)));
  const states = [...steps, ...others].reduce(both, languageOf(numbers));
  return isEmpty(states) ? never : { kind: "states", states };
}

/** @param from where it begins; where that is beyond, nothing is capped */
function capped(from: Bound, high: Bound | null, { scale }: Decimal): Bound | null {
  if (high !== null || scale === 0) return high;
  const value = 10 ** Math.max(1, fractionMultipleDigits - scale);
  return from.value * 10 > value ? null : { value, inclusive: false };
}

function negated(bound: Bound | null): Bound | null {
  return bound === null ? null : { ...bound, value: -bound.value };
}

function atLeastZero(low: Bound | null): Bound {
  return low === null || low.value < 0 ? { value: 0, inclusive: true } : low;
}

function aboveZero(low: Bound | null): Bound {
  return low === null || low.value <= 0 ? { value: 0, inclusive: false } : low;
}

/** Texts without a sign. */
function magnitudes(low: Bound, high: Bound | null, fraction: number): Expression {
  if (low.value > largest || (high !== null && high.value < 0)) return never;
  const above = high === null || high.value > largest ? null : new BoundDigits(high);
  const below = new BoundDigits(low);
  const [shortest, longest] = [below.whole.length, above?.whole.length ?? digitsMax + 1];
  const tight = [...new Set([shortest, longest])].filter((length) => length <= digitsMax);
  return choice(
    ...tight.map((length) => new Digits(length, fraction, [below, above]).write()),
    freeDigits(shortest + 1, longest - 1, fraction),
  );
}

/**
 * Numbers of which no bound says more than how many digits they have. In few alternatives: XGrammar as of 0.1.27 takes
 * more digits than there may be where each length is one.
 */
function freeDigits(least: number, most: number, fraction: number): Expression {
  const withFraction = digitsMax - fraction;
  const rest =
    fraction === 0 ? empty : optional(sequence(text("."), repeat(set(digit), 1, fraction)));
  return choice(
    ofLengths(least, Math.min(most, withFraction), rest),
    fraction === 0 ? never : ofLengths(Math.max(least, withFraction + 1), most, empty),
  );
}

/** @param rest what comes after the digits */
function ofLengths(from: number, to: number, rest: Expression): Expression {
  if (from > to) return never;
  return sequence(digitsFrom(1, 9), repeat(set(digit), from - 1, to - 1), rest);
}

/** A bound as its digits. */
class BoundDigits {
  readonly inclusive: boolean;
  readonly whole: string;
  readonly fraction: string;

  constructor({ value, inclusive }: Bound) {
    const [whole = "0", fraction = ""] = plainDigits(value).split(".");
    this.inclusive = inclusive;
    this.whole = whole;
    this.fraction = fraction;
  }

  digit(at: number): number {
    return Number((this.whole + this.fraction)[at] ?? 0);
  }

  /** Whether nothing but zeros follows. */
  isZeroFrom(at: number): boolean {
    return /^0*$/.test((this.whole + this.fraction).slice(at));
  }
}

/** Numbers with so many digits before the point. `low` and `high`: all digits so far are the bound's own. */
class Digits {
  readonly #length: number;
  readonly #fraction: number;
  readonly #low: BoundDigits;
  readonly #high: BoundDigits | null;

  constructor(length: number, fraction: number, [low, high]: [BoundDigits, BoundDigits | null]) {
    const bounds = Math.max(low.fraction.length, high?.fraction.length ?? 0);
    this.#length = length;
    this.#fraction =
      fraction === 0 ? 0 : Math.min(Math.max(fraction, bounds + 1), digitsMax - length);
    this.#low = low;
    this.#high = high;
  }

  write(): Expression {
    if (this.#low.whole.length > this.#length) return never;
    if (this.#high !== null && this.#high.whole.length < this.#length) return never;
    const low = this.#low.whole.length === this.#length;
    const high = this.#high?.whole.length === this.#length;
    return this.#digits(0, low, high);
  }

  #digits(at: number, low: boolean, high: boolean): Expression {
    if (at === this.#length) return this.#point(low, high);
    if (!low && !high && at > 0) {
      const rest = repeat(set(digit), this.#length - at, this.#length - at);
      return sequence(rest, this.#point(false, false));
    }
    const least = at === 0 && this.#length > 1 ? 1 : 0;
    return this.#split(at, [low, high, least], (...bounds) => this.#digits(at + 1, ...bounds));
  }

  #point(low: boolean, high: boolean): Expression {
    const whole = this.#mayEnd(this.#length, low, high) ? empty : never;
    if (this.#fraction === 0) return whole;
    return choice(whole, sequence(text("."), this.#after(this.#length, low, high)));
  }

  /** One digit more after the point, or several. */
  #after(at: number, low: boolean, high: boolean): Expression {
    const left = this.#length + this.#fraction - at;
    if (left <= 0) return never;
    if (!low && !high) return repeat(set(digit), 1, left);
    return this.#split(at, [low, high, 0], (...bounds) =>
      choice(this.#mayEnd(at + 1, ...bounds) ? empty : never, this.#after(at + 1, ...bounds)),
    );
  }

  /** The digit at a place, by whether it is still a bound's own. */
  #split(
    at: number,
    [low, high, least]: [boolean, boolean, number],
    rest: (low: boolean, high: boolean) => Expression,
  ): Expression {
    const from = Math.max(least, low ? this.#low.digit(at) : 0);
    const to = high ? (this.#high?.digit(at) ?? 9) : 9;
    const options: Expression[] = [];
    const add = (first: number, last: number, bounds: [boolean, boolean]) => {
      if (first <= last) options.push(sequence(digitsFrom(first, last), rest(...bounds)));
    };
    const ownLow = low && from === this.#low.digit(at);
    if (from === to) add(from, to, [ownLow, high]);
    else {
      if (ownLow) add(from, from, [true, false]);
      add(ownLow ? from + 1 : from, high ? to - 1 : to, [false, false]);
      if (high) add(to, to, [false, true]);
    }
    return choice(...options);
  }

  #mayEnd(at: number, low: boolean, high: boolean): boolean {
    if (low && !(this.#low.isZeroFrom(at) && this.#low.inclusive)) return false;
    return !high || !(this.#high?.isZeroFrom(at) ?? false) || (this.#high?.inclusive ?? true);
  }
}

function digitsFrom(first: number, last: number): Expression {
  return set(charactersOf([[0x30 + first, 0x30 + last]]));
}
