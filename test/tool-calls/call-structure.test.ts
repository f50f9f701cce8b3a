/** What text is held to, by XGrammar itself: it takes what each family writes, and nothing that is no such call. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Structure } from "../../contract/tasks/structure.ts";
import type { Tool } from "../../contract/tasks/tool.ts";
import { type CallForm, hermesForm, writeCalls } from "../../gpu-worker/tool-calls/call-form.ts";
import { type AskedCalls, callStructure } from "../../gpu-worker/tool-calls/call-structure.ts";
import { printGrammar, rootName } from "../../gpu-worker/grammar/print-grammar.ts";
import { readStructure } from "../../gpu-worker/grammar/read-structure.ts";
import {
  type GrammarCompiler,
  type GrammarMatcher,
  loadXGrammar,
} from "../../gpu-worker/grammar/xgrammar.ts";
import { forms } from "./forms.ts";

const library = loadXGrammar();
const marks = ["[TOOL_CALLS]", "[ARGS]", "<tool_call>", "</tool_call>"];
/** One character a token, and the marks as tokens of their own; 0 ends a text. */
const vocabulary = [
  "</s>",
  ...Array.from({ length: 127 }, (_, at) => String.fromCharCode(at + 1)),
  ...marks,
];
let compiler: GrammarCompiler;
beforeAll(async () => {
  const { createTokenizerInfo } = library.TokenizerInfo;
  const info = await createTokenizerInfo(vocabulary, "raw", false, vocabulary.length, [0]);
  compiler = await library.GrammarCompiler.createGrammarCompiler(info);
});

function tokensOf(text: string): number[] {
  const pattern = /\[TOOL_CALLS\]|\[ARGS\]|<\/?tool_call>|[^]/g;
  return [...text.matchAll(pattern)].map(([token]) => vocabulary.indexOf(token));
}

/** XGrammar's own reading of structural tags knows neither `excludes` nor lists whose parts end with nothing. */
async function compile(structure: Structure | null, isOwn: boolean) {
  if (structure?.type !== "structural_tag") throw new Error("no structural tag");
  if (!isOwn) return compiler.compileStructuralTag(JSON.parse(structure.tag));
  const text = printGrammar(readStructure(structure));
  return compiler.compileGrammar(await library.Grammar.fromEBNF(text, rootName));
}

/** @returns for each text whether it may be written, and end there */
async function takes(
  form: CallForm,
  asked: AskedCalls,
  texts: readonly string[],
  isOwn = form.ends === "",
) {
  const compiled = await compile(callStructure(form, asked), isOwn);
  const taken: boolean[] = [];
  for (const text of texts) {
    const matcher = await library.GrammarMatcher.createGrammarMatcher(compiled);
    taken.push(
      tokensOf(text).every((token) => matcher.acceptToken(token)) && (await ends(matcher)),
    );
    matcher.dispose();
  }
  return taken;
}

async function ends(matcher: GrammarMatcher): Promise<boolean> {
  const [word = 0] = await matcher.getNextTokenBitmask();
  return (word & 1) === 1;
}

const cities = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools: Tool[] = [
  { name: "weather", description: "Tells it.", parameters: JSON.stringify(cities) },
  { name: "now" },
];
const auto: AskedCalls = { tools, choice: "auto", parallel: true };
const paris = { name: "weather", arguments: '{"city": "Paris"}' };
const now = { name: "now", arguments: "{}" };
const yes = [true, true];
const no = [false, false];

describe.each(forms)("the structure of calls in the form of $family", ({ form }) => {
  const write = (...calls: { name: string; arguments: string }[]) => writeCalls(form, calls);
  const [one, other] = [write(paris), write(now)];
  const wrong = [
    write({ name: "weather", arguments: "{}" }),
    write({ name: "nothing", arguments: "{}" }),
    one.slice(0, -1),
    `${one} And then?`,
  ];
  const words = "I think of {names} and <tools>.";

  it("takes text, a call, or both, and no call that is none", async () => {
    expect(await takes(form, auto, ["", words, one, other, `${words}${one}`])).toEqual(
      Array(5).fill(true),
    );
    expect(await takes(form, auto, wrong)).toEqual([...no, ...no]);
  });

  it("takes no text that has another mark of the form in it", async () => {
    for (const mark of form.reserved)
      expect(await takes(form, auto, [mark, `It is ${mark} warm`], true), mark).toEqual(no);
    expect(await takes(form, auto, ["It is < 3 [TOOL", words, one], true)).toEqual([...yes, true]);
  });

  it("takes several calls where the family can, and they are not forbidden", async () => {
    const two = write(paris, now);
    const can = form.between !== null;
    expect(await takes(form, auto, [two])).toEqual([can]);
    expect(await takes(form, { ...auto, choice: "required" }, [two])).toEqual([can]);
    expect(await takes(form, { ...auto, parallel: false }, [two, one])).toEqual([false, true]);
  });

  it("takes nothing but calls where one is required, and that one alone where it is named", async () => {
    expect(
      await takes(form, { ...auto, choice: "required" }, ["", words, `${words}${one}`]),
    ).toEqual([false, ...no]);
    expect(await takes(form, { ...auto, choice: "required" }, [one, other])).toEqual(yes);
    const named = { ...auto, choice: { name: "now" } };
    expect(await takes(form, named, [other, one, write(now, now)])).toEqual([true, ...no]);
  });

  it("takes calls of those tools alone that may be called", async () => {
    const some = { mode: "auto" as const, names: ["now"] };
    expect(await takes(form, { ...auto, choice: some }, [words, other, one])).toEqual([
      ...yes,
      false,
    ]);
    const must = { mode: "required" as const, names: ["now"] };
    expect(await takes(form, { ...auto, choice: must }, [words, other, one])).toEqual([
      false,
      true,
      false,
    ]);
  });

  it("takes text of a structure beside calls", async () => {
    const schema = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}';
    const asked: AskedCalls = { ...auto, otherwise: { type: "json_schema", schema } };
    expect(await takes(form, asked, ['{"n": 5}', one, "n", '{"n": "5"}'])).toEqual([...yes, ...no]);
    const either: AskedCalls = { ...auto, otherwise: { type: "choice", choices: ["yes", "no"] } };
    expect(await takes(form, either, ["yes", one, "maybe", ""])).toEqual([...yes, ...no]);
  });
});

describe("arguments that a schema does not declare", () => {
  it.each([
    ['{"type":"object","properties":{}}', true],
    ['{"type":"object","properties":{"a":{}},"required":["a"]}', true],
    ['{"type":"object","properties":{"a":{}},"required":["b"]}', false],
    ['{"type":"object","properties":{"a":{}},"allOf":[{"required":["b"]}]}', false],
    ['{"type":"object"}', false],
  ])("are none, unless it speaks of more: %s", (parameters, isClosed) => {
    const structure = callStructure(hermesForm, { ...auto, tools: [{ name: "f", parameters }] });
    const text = structure?.type === "structural_tag" ? structure.tag : "";
    expect(text.includes('"additionalProperties":false')).toBe(isClosed);
  });
});

describe("text of a grammar", () => {
  it("cannot be had beside calls", () => {
    const otherwise = { type: "grammar", grammar: 'root ::= "a"' } as const;
    expect(callStructure(hermesForm, { ...auto, otherwise })).toBeNull();
    expect(callStructure(hermesForm, { ...auto, otherwise, choice: "required" })).not.toBeNull();
  });
});
