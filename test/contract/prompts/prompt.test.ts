/** What a prompt and values come to, and what is wrong of either. */
import { describe, expect, it } from "vitest";
import { CodedError } from "../../../contract/errors.ts";
import {
  checkPrompt,
  impliedVariables,
  type Prompt,
  renderPrompt,
} from "../../../contract/prompts/prompt.ts";
import { readyPrompts } from "../../../contract/prompts/ready-prompts.ts";
import { escapeTemplate } from "../../../contract/prompts/template.ts";
import type { Values, VariableSchema } from "../../../contract/prompts/variables.ts";
import { wordingsOf } from "../../../contract/prompts/wordings.ts";
import { roundsOf } from "../../../contract/prompts/evaluation-plan.ts";

function promptOf(content: string, properties?: Record<string, VariableSchema>): Prompt {
  const messages = [{ role: "user" as const, content }];
  const variables =
    properties === undefined ? impliedVariables(messages) : { type: "object" as const, properties };
  return { messages, variables, examples: [] };
}

/** The text of the one message. */
function filled(content: string, values: Values, properties?: Record<string, VariableSchema>) {
  return renderPrompt(promptOf(content, properties), values, "variables")[0]?.content;
}

function errorOf(act: () => unknown): Partial<CodedError> {
  try {
    act();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
}

describe("a template", () => {
  it.each([
    ["Hi {{name}}, {{ name }}!", "Hi Ada, Ada!"],
    ["{{{{name}} stays", "{{name}} stays"],
    ['{"a":{{name}}}', '{"a":Ada}'],
    ["a } b }} c { d", "a } b }} c { d"],
    ["{{name}}{{name}}", "AdaAda"],
    ["$& $1 \\{{name}}", "$& $1 \\Ada"],
  ])("%j is filled in", (content, text) => {
    const properties: Record<string, VariableSchema> = { name: { type: "string" } };
    expect(filled(content, { name: "Ada" }, properties)).toBe(text);
  });

  it("does not read again what was put in", () => {
    const values = { a: "{{b}}", b: "{{{{ $&" };
    expect(filled("{{a}} {{b}}", values)).toBe("{{b}} {{{{ $&");
  });

  it.each(["{{", "x {{1}}", "{{a-b}}", "{{{a}}}", "{{ }}", "{{__proto__}}", "{{a|upper}}"])(
    "that begins no variable is refused where it does: %s",
    (content) => {
      const error = errorOf(() => checkPrompt(promptOf(content, { a: { type: "string" } })));
      expect(error).toMatchObject({ code: "invalid_value", param: "messages[0].content" });
      expect(error.message).toContain("{{{{ for two braces");
    },
  );

  it("holds any text once it is escaped", () => {
    for (const text of ["{{", "{{a}}", "{{{{", "a {{{b", "}}"])
      expect(filled(escapeTemplate(text), {}, {})).toBe(text);
  });
});

describe("a variable", () => {
  const properties = {
    text: { type: "string", minLength: 2, maxLength: 4 },
    count: { type: "integer", minimum: 1, maximum: 3, default: 2 },
    share: { type: "number", default: 0.5 },
    sure: { type: "boolean", default: false },
    tone: { type: "string", enum: ["dry", "warm"], default: "dry" },
    list: { type: "array", items: { type: "string" }, maxItems: 2, default: ["a"] },
  } satisfies Record<string, VariableSchema>;
  const content = "{{text}} {{count}} {{share}} {{sure}} {{tone}} {{list}}";

  it("stands as it is, or as JSON, or by its default", () => {
    expect(filled(content, { text: "abc", list: ['"', "b"] }, properties)).toBe(
      String.raw`abc 2 0.5 false dry ["\"","b"]`,
    );
  });

  it.each([
    [{}, "variables.text", "missing_required_parameter"],
    [{ text: null }, "variables.text", "missing_required_parameter"],
    [{ text: 5 }, "variables.text", "invalid_value"],
    [{ text: "a" }, "variables.text", "invalid_value"],
    [{ text: "abcde" }, "variables.text", "invalid_value"],
    [{ text: "ab", count: 1.5 }, "variables.count", "invalid_value"],
    [{ text: "ab", count: 9 }, "variables.count", "invalid_value"],
    [{ text: "ab", share: "1" }, "variables.share", "invalid_value"],
    [{ text: "ab", tone: "loud" }, "variables.tone", "invalid_value"],
    [{ text: "ab", list: ["a", 1] }, "variables.list", "invalid_value"],
    [{ text: "ab", list: [["a"]] }, "variables.list", "invalid_value"],
    [{ text: "ab", list: ["a", "b", "c"] }, "variables.list", "invalid_value"],
    [{ text: "ab", other: 1 }, "variables.other", "unknown_parameter"],
    [JSON.parse('{"text":"ab","__proto__":1}'), "variables.__proto__", "unknown_parameter"],
    [{ text: "ab", constructor: 1 }, "variables.constructor", "unknown_parameter"],
  ])("%j is refused by name", (values, param, code) => {
    expect(errorOf(() => filled(content, values, properties))).toMatchObject({ param, code });
  });

  it("that stands many times writes no more than a text may have", () => {
    const many = "{{x}}".repeat(20_000);
    const error = errorOf(() => filled(many, { x: "y".repeat(100_000) }));
    expect(error).toMatchObject({ code: "invalid_value", param: "variables" });
  });
});

describe("examples", () => {
  const prompt: Prompt = {
    messages: [
      { role: "system", content: "Judge for {{who}}." },
      { role: "user", content: "{{text}}" },
    ],
    variables: {
      type: "object",
      properties: { who: { type: "string", default: "me" }, text: { type: "string" } },
    },
    examples: [{ variables: { text: "A bore." }, output: "bad" }],
  };

  it("are turns before the last, after what is said of all", () => {
    expect(renderPrompt(prompt, { text: "A joy.", who: "us" }, "v")).toEqual([
      { role: "system", content: "Judge for us." },
      { role: "user", content: "A bore." },
      { role: "assistant", content: "bad" },
      { role: "user", content: "A joy." },
    ]);
  });

  it.each([
    [{ ...prompt, examples: [{ variables: {}, output: "bad" }] }, "examples[0].variables.text"],
    [{ ...prompt, messages: [{ role: "system" as const, content: "Judge." }] }, "examples"],
    [{ ...prompt, variables: { type: "object" as const, properties: {} } }, "messages[0].content"],
  ])("that cannot be shown are refused", (wrong, param) => {
    expect(errorOf(() => checkPrompt(wrong))).toMatchObject({ param });
  });
});

describe("the prompts that ship", () => {
  it("are in order, and have names of their own", () => {
    for (const prompt of readyPrompts) expect(() => checkPrompt(prompt)).not.toThrow();
    const ids = readyPrompts.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)]);
    expect(ids).toEqual(
      expect.arrayContaining(["chat", "summarize", "translate", "translate-en-zh", "code"]),
    );
  });
});

describe("an optimisation", () => {
  it("has the same other wordings of a prompt each time, none of them twice", () => {
    const [review] = readyPrompts;
    if (review === undefined) throw new Error("none ships");
    const variants = [
      { name: "mine", messages: [{ role: "user" as const, content: "{{text}}?" }] },
      { name: "the same", messages: review.messages },
    ];
    const wordings = wordingsOf(review, { labels: ["{{a", "b"], variants });
    expect(wordings.map(({ name }) => name)).toEqual([
      "as written",
      "labels told",
      "form told",
      "labels and form told",
      "instruction last",
      "mine",
    ]);
    for (const { prompt } of wordings) checkPrompt(prompt);
    const told = renderPrompt(wordings[1]?.prompt ?? review, { text: "x" }, "v")[0]?.content;
    expect(told).toMatch(/Answer with one of: \{\{a, b\.$/);
  });

  it("halves its candidates and doubles what they are judged on", () => {
    expect(roundsOf(20, 100)).toEqual([
      { candidates: 20, from: 0, to: 8 },
      { candidates: 10, from: 8, to: 16 },
      { candidates: 5, from: 16, to: 32 },
      { candidates: 3, from: 32, to: 64 },
      { candidates: 2, from: 64, to: 100 },
    ]);
    expect(roundsOf(1, 100)).toEqual([]);
    expect(roundsOf(4, 5)).toEqual([{ candidates: 4, from: 0, to: 5 }]);
  });
});
