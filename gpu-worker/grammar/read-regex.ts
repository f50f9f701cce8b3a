/**
 * A regular expression, as ECMAScript with the flags u and s reads it, as an expression. What no grammar can hold to
 * (look-around, references to groups, boundaries inside) is refused by name.
 */
import {
  allCharacters,
  type CharacterRange,
  type CharacterSet,
  charactersOf,
  complement,
} from "./character-set.ts";
import {
  choice,
  empty,
  type Expression,
  repeat,
  sequence,
  set,
  StructureError,
} from "./expression.ts";

/** How a set of characters is written. Default: as it is. */
type Write = (set: CharacterSet) => Expression;

type RegexOptions = {
  /** Whether it may match anywhere in the text, as in JSON Schema, rather than the text whole. */
  readonly anywhere: boolean;
  readonly write: Write;
};

const nestingMax = 100;
export const repeatMax = 10_000;

const digits = charactersOf([[0x30, 0x39]]);
const word = charactersOf([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const space = charactersOf([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const classes: Readonly<Record<string, CharacterSet>> = {
  d: digits,
  D: complement(digits),
  w: word,
  W: complement(word),
  s: space,
  S: complement(space),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };
/** That no line ends with. */
const dot = complement(
  charactersOf([
    [0x0a, 0x0a],
    [0x0d, 0x0d],
    [0x2028, 0x2029],
  ]),
);

/** @throws StructureError */
export function readRegex(
  pattern: string,
  { anywhere = false, write = set }: Partial<RegexOptions> = {},
): Expression {
  return new RegexReader(pattern, { anywhere, write }).read();
}

/** An option of the pattern as a whole: what anchors it has at its ends. */
type Option = { body: Expression; fromStart: boolean; toEnd: boolean };

class RegexReader {
  readonly #pattern: readonly string[];
  readonly #options: RegexOptions;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, options: RegexOptions) {
    this.#pattern = [...pattern];
    this.#options = options;
  }

  read(): Expression {
    const options = this.#alternatives(true);
    if (this.#at < this.#pattern.length) throw this.#wrong("a ) that closes no group");
    const any = repeat(this.#options.write(allCharacters), 0, null);
    return choice(
      ...options.map(({ body, fromStart, toEnd }) => {
        if (!this.#options.anywhere) return body;
        return sequence(fromStart ? empty : any, body, toEnd ? empty : any);
      }),
    );
  }

  get #next(): string {
    return this.#pattern[this.#at] ?? "";
  }

  #take(expected: string): boolean {
    const found = this.#pattern.slice(this.#at, this.#at + expected.length).join("") === expected;
    if (found) this.#at += expected.length;
    return found;
  }

  #alternatives(outermost: boolean): Option[] {
    const options: Option[] = [];
    do options.push(this.#alternative(outermost));
    while (this.#take("|"));
    return options;
  }

  #alternative(outermost: boolean): Option {
    const fromStart = outermost && this.#take("^");
    const parts: Expression[] = [];
    while (this.#next !== "" && this.#next !== "|" && this.#next !== ")") {
      if (outermost && this.#isEndAnchor()) {
        this.#at += 1;
        return { body: sequence(...parts), fromStart, toEnd: true };
      }
      parts.push(this.#quantified());
    }
    return { body: sequence(...parts), fromStart, toEnd: false };
  }

  #isEndAnchor(): boolean {
    const after = this.#pattern[this.#at + 1] ?? "|";
    return this.#next === "$" && after === "|";
  }

  #quantified(): Expression {
    const atom = this.#atom();
    const times = this.#quantifier();
    if (times === null) return atom;
    // Which of several matches it is does not matter to whether there is one.
    this.#take("?");
    if ("*+?{".includes(this.#next) && this.#next !== "")
      throw this.#wrong("nothing before it to repeat");
    return repeat(atom, times.min, times.max);
  }

  #quantifier(): { min: number; max: number | null } | null {
    if (this.#take("*")) return { min: 0, max: null };
    if (this.#take("+")) return { min: 1, max: null };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (this.#next !== "{") return null;
    const rest = this.#pattern.slice(this.#at, this.#at + 24).join("");
    const found = /^\{(\d+)(,(\d*))?\}/.exec(rest);
    if (found === null)
      throw this.#wrong("a { begins no number of repetitions: write \\{ for the character");
    const [all, least = "", more, most] = found;
    this.#at += all.length;
    const min = Number(least);
    const max = more === undefined ? min : most === "" ? null : Number(most);
    if (Math.max(min, max ?? 0) > repeatMax)
      throw this.#wrong(`more than ${repeatMax} repetitions`);
    if (max !== null && max < min)
      throw this.#wrong("a number of repetitions whose end is before its start");
    return { min, max };
  }

  #atom(): Expression {
    const { write } = this.#options;
    const next = this.#next;
    if (next === "(") return this.#group();
    if (next === "[") return write(this.#class());
    if (next === "^" || next === "$")
      throw this.#wrong(`a ${next} inside: only the whole pattern has ends`);
    if ("*+?{".includes(next)) throw this.#wrong("nothing before it to repeat");
    this.#at += 1;
    if (next === ".") return write(dot);
    if (next === "\\") return write(charactersOf(this.#escape(false)));
    return write(charactersOf(one(next.codePointAt(0) ?? 0)));
  }

  #group(): Expression {
    const start = this.#at;
    this.#at += 1;
    for (const [mark, what] of lookAround) {
      if (this.#take(mark))
        throw this.#wrong(`${what}, which no grammar can hold to: leave it out`, start);
    }
    if (this.#take("?<")) {
      while (this.#next !== ">" && this.#next !== "") this.#at += 1;
      this.#at += 1;
    } else if (this.#take("?") && !this.#take(":")) throw this.#wrong("a group with flags", start);
    this.#depth += 1;
    if (this.#depth > nestingMax) throw this.#wrong(`groups in more than ${nestingMax} others`);
    const options = this.#alternatives(false);
    this.#depth -= 1;
    if (!this.#take(")")) throw this.#wrong("a group without its )", start);
    return choice(...options.map(({ body }) => body));
  }

  #class(): CharacterSet {
    const start = this.#at;
    this.#at += 1;
    const negated = this.#take("^");
    const ranges: CharacterRange[] = [];
    while (!this.#take("]")) {
      if (this.#next === "") throw this.#wrong("a [ without its ]", start);
      const from = this.#member();
      const [only] = from;
      const dash = this.#next === "-" && (this.#pattern[this.#at + 1] ?? "]") !== "]";
      if (!dash) {
        ranges.push(...from);
        continue;
      }
      this.#at += 1;
      const [last] = this.#member();
      if (only === undefined || last === undefined || only[0] !== only[1] || last[0] !== last[1]) {
        throw this.#wrong("a range of characters whose ends are no characters");
      }
      if (last[0] < only[0])
        throw this.#wrong("a range of characters whose end is before its start");
      ranges.push([only[0], last[0]]);
    }
    const all = charactersOf(ranges);
    return negated ? complement(all) : all;
  }

  #member(): CharacterSet {
    const next = this.#next;
    this.#at += 1;
    return next === "\\" ? this.#escape(true) : one(next.codePointAt(0) ?? 0);
  }

  /** After the backslash. */
  #escape(inClass: boolean): CharacterSet {
    const start = this.#at - 1;
    const next = this.#next;
    this.#at += 1;
    if (next === "") throw this.#wrong("a \\ with nothing after it", start);
    const known = Object.hasOwn(classes, next) ? classes[next] : undefined;
    if (known !== undefined) return known;
    const control = Object.hasOwn(controls, next) ? controls[next] : undefined;
    if (control !== undefined) return one(control);
    if (next === "b" && inClass) return one(8);
    if (next === "x") return one(this.#hex(2));
    if (next === "u") return one(this.#take("{") ? this.#braced() : this.#unit());
    if (/[1-9k]/.test(next) && !inClass)
      throw this.#wrong(
        "a reference to a group, which no grammar can hold to: write the group again",
        start,
      );
    if (/[bB]/.test(next))
      throw this.#wrong(
        `a boundary of words (\\${next}), which no grammar can hold to: leave it out`,
        start,
      );
    if (/[pP]/.test(next))
      throw this.#wrong(`\\${next}{…}: list the characters in a class instead`, start);
    if (/[A-Za-z0-9]/.test(next)) throw this.#wrong(`\\${next}, which is no escape`, start);
    return one(next.codePointAt(0) ?? 0);
  }

  /** Of UTF-16; two that are one character are written one after the other. */
  #unit(): number {
    const high = this.#hex(4);
    if (high < 0xd800 || high > 0xdbff || !this.#take("\\u")) return high;
    return 0x10000 + ((high - 0xd800) << 10) + (this.#hex(4) - 0xdc00);
  }

  #hex(length: number): number {
    const found = this.#pattern.slice(this.#at, this.#at + length).join("");
    if (!/^[0-9A-Fa-f]+$/.test(found) || found.length < length) {
      throw this.#wrong(`an escape without its ${length} hexadecimal digits`);
    }
    this.#at += length;
    return Number.parseInt(found, 16);
  }

  #braced(): number {
    const found = /^([0-9A-Fa-f]{1,6})\}/.exec(
      this.#pattern.slice(this.#at, this.#at + 7).join(""),
    );
    if (found === null) throw this.#wrong("a \\u{ without a code point and }");
    this.#at += found[0].length;
    return Number.parseInt(found[1] ?? "", 16);
  }

  /** @param at where in the pattern it begins */
  #wrong(what: string, at = this.#at): StructureError {
    const place = Math.min(at, this.#pattern.length) + 1;
    return new StructureError(`at character ${place} the pattern has ${what}`);
  }
}

const lookAround: readonly (readonly [string, string])[] = [
  ["?=", "a look ahead"],
  ["?!", "a look ahead"],
  ["?<=", "a look behind"],
  ["?<!", "a look behind"],
];

/** As it stands: an end of a range may be no character. */
function one(code: number): CharacterSet {
  return [[code, code]];
}
