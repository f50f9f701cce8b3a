/**
 * One word for one thing: words that have been retired do not come back in names, and no line is wider than a screen.
 * Names are those of files and the identifiers in code; comments and texts may use any word of the language.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "..");
const columnsMax = 120;
/** Generated code, and scripts whose output is kept beside them: the formatter leaves them alone too. */
const unformatted = /_pb\.|^test\/checkpoints\/library-checkpoints\//;

/**
 * Each with the word that took its place. In parts of names: `tickets`, `TicketRows` and `ticket-rows.ts` hold the
 * first.
 */
const retired: Readonly<Record<string, string>> = {
  ticket: "job",
  courier: "webhook delivery",
  surroundings: "dependencies",
  "entry book": "catalog",
  "entry work": "model operations",
  "shared work": "shared task",
  "work table": "computation table",
  "work rows": "computation rows",
  "held job": "computation",
  "job answerer": "computation executor",
  "job memory": "computation memory",
  "event reports": "computation reporter",
  "message ledger": "held messages",
  "byte gate": "byte semaphore",
  "memory gate": "memory semaphore",
  "body place": "body permit",
  "quiet time": "idle timer",
  "tenant turns": "fair queueing",
  "turn entries": "quantum",
  "best few": "top k",
  "utf16 places": "utf16 offsets",
  "work bar": "progress bar",
  "fetch bar": "progress bar",
  unpadded: "row by row",
  widen: "intermediate",
};

/** Whole names that are common words otherwise. */
const retiredNames: Readonly<Record<string, string>> = {
  within: "withTimeout",
  Work: "Computation",
  narrow: "output",
};

/** `TicketRows`, `ticket-rows` and `TICKET_ROWS` as "ticket rows". */
function wordsOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/[^A-Za-z0-9]+/g, " ")
    .toLowerCase()
    .trim();
}

/** The code of a file without its comments and the contents of its texts. */
function codeOf(text: string): string {
  return text.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    " ",
  );
}

const patterns = Object.entries(retired).map(([word, now]) => ({
  pattern: new RegExp(`(^| )${word}(s|es)?( |$)`),
  now,
}));

function findings(file: string, text: string): string[] {
  const names = new Set(codeOf(text).match(/[A-Za-z_$][\w$]*/g) ?? []);
  names.add(path.basename(file).replace(/\..*$/, ""));
  return [...names].flatMap((name) => {
    const whole = Object.hasOwn(retiredNames, name) ? retiredNames[name] : undefined;
    const part = patterns.find(({ pattern }) => pattern.test(wordsOf(name)))?.now;
    const now = whole ?? part;
    return now === undefined ? [] : [`${file}: ${name} → ${now}`];
  });
}

function filesOf(pattern: RegExp): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return listed.split("\n").filter((file) => pattern.test(file));
}

function read(file: string): string {
  return readFileSync(path.join(root, file), "utf8");
}

describe("names", () => {
  it("hold no word that was retired", () => {
    const found = filesOf(/\.m?ts$/)
      .filter((file) => file !== "test/vocabulary.test.ts")
      .flatMap((file) => findings(file, read(file)));
    expect(found).toEqual([]);
  });

  it.each([
    ["class TicketRows {}", ["a.ts: TicketRows → job"]],
    ["// a ticket\nconst text = 'ticket';", []],
    ["const x = within(5);", ["a.ts: within → withTimeout"]],
    ["const withinWindow = 1;", []],
    ["readonly #surroundings: Surroundings;", 2],
  ])("are looked for in code alone: %s", (code, expected) => {
    const found = findings("a.ts", code);
    if (typeof expected === "number") expect(found).toHaveLength(expected);
    else expect(found).toEqual(expected);
  });
});

describe("lines", () => {
  it(`have ${columnsMax} columns at most`, () => {
    const wide = filesOf(/\.(m?ts|toml|ya?ml|sh|py)$|(^|\/)Dockerfile$/)
      .filter((file) => !unformatted.test(file))
      .flatMap((file) =>
        read(file)
          .split("\n")
          .flatMap((line, at) => ([...line].length > columnsMax ? [`${file}:${at + 1}`] : [])),
      );
    expect(wide).toEqual([]);
  });
});
