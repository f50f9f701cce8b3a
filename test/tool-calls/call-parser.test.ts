/** A text parted into what is said and what is called, however it is cut. */
import { describe, expect, it } from "vitest";
import type { ToolCallPiece } from "../../contract/tasks/tool-call.ts";
import {
  type CallForm,
  callFormOf,
  hermesForm,
  writeCalls,
} from "../../gpu-worker/tool-calls/call-form.ts";
import { CallParser } from "../../gpu-worker/tool-calls/call-parser.ts";
import { randomFrom } from "../random-from.ts";
import { forms } from "./forms.ts";

type Call = { name: string; arguments: string };

function parserOf(form: CallForm): CallParser {
  const names = new Set(["f", "get-weather_2"]);
  return new CallParser({ form, names, idOf: (index) => `id${index}` });
}

/** What the pieces come to, put together as a client does; each must go on where the one before ended. */
function parted(form: CallForm, pieces: readonly string[]) {
  const parser = parserOf(form);
  const grown = [...pieces.map((piece) => parser.push(piece)), parser.finish()];
  const calls: Call[] = [];
  for (const piece of grown.flatMap((each) => each.calls)) take(calls, piece);
  expect(parser.calls).toEqual(calls.map((call, at) => ({ id: `id${at}`, ...call })));
  return { text: grown.map(({ text }) => text).join(""), calls };
}

function take(calls: Call[], { index, id, name, argumentsFrom, arguments: grown }: ToolCallPiece) {
  if (name !== undefined) {
    expect([index, id]).toEqual([calls.length, `id${index}`]);
    calls.push({ name, arguments: "" });
  }
  const call = calls[index];
  if (call === undefined) throw new Error("a piece of no call");
  expect(argumentsFrom).toBe(call.arguments.length);
  call.arguments += grown;
}

const awkward = [
  "{}",
  '{"city": "Paris"}',
  '{ "a":[1,{"b":null}] , "s": "\\"}\\\\" }',
  '{"s": "</tool_call>\\n<tool_call>\\n[TOOL_CALLS] [{\\"name\\": \\"f\\"}]"}',
  '{"é😀": "{[\\u007d"}',
];
const said = ["", "Let me see. ", 'a < b, <tool, [TOOL and {"names": 1}', "\n\n line \n"];

/** Every way to cut a short text in two, and many ways to cut it in more. */
function cuts(text: string, below: (count: number) => number): string[][] {
  const inTwo = Array.from({ length: text.length }, (_, at) => [text.slice(0, at), text.slice(at)]);
  const inMany = Array.from({ length: 20 }, () => {
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const length = 1 + below(6);
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    return pieces;
  });
  return [[...text], ...inTwo, ...inMany];
}

describe.each(forms)("calls in the form of $family", ({ form }) => {
  const below = randomFrom(7);

  it("are told apart from text wherever it is cut, and their marks are no text", () => {
    for (const [at, words] of said.entries()) {
      const first = { name: "f", arguments: awkward[at] ?? "{}" };
      const second = { name: "get-weather_2", arguments: awkward[at + 1] ?? "{}" };
      const calls = form.between === null ? [first] : [first, second];
      const text = words + writeCalls(form, calls);
      for (const pieces of cuts(text, below)) {
        expect(parted(form, pieces)).toEqual({ text: words.trimEnd(), calls });
      }
    }
  });

  it("are none where there are none: such text is told as it stands", () => {
    for (const words of said) {
      for (const pieces of cuts(words, below)) {
        expect(parted(form, pieces)).toEqual({ text: words, calls: [] });
      }
    }
  });

  it("are told as far as they go where the text is cut off, without a mark", () => {
    const call = { name: "f", arguments: '{"city": "Paris"}' };
    const whole = writeCalls(form, [call]);
    for (let length = form.trigger.length; length <= whole.length; length += 1) {
      const { text, calls } = parted(form, [whole.slice(0, length)]);
      expect(text).toBe("");
      expect(calls.length).toBeLessThanOrEqual(1);
      for (const each of calls) expect(call.arguments.startsWith(each.arguments)).toBe(true);
    }
  });

  it("of a tool that was not declared are text", () => {
    const text = `Well: ${writeCalls(form, [{ name: "g", arguments: "{}" }])}`;
    for (const pieces of cuts(text, below)) {
      expect(parted(form, pieces)).toEqual({ text, calls: [] });
    }
  });
});

describe("text beside calls", () => {
  it("is told but for the white space that parts it from them", () => {
    const call = { name: "f", arguments: "{}" };
    const one = writeCalls(hermesForm, [call]);
    const text = ` a \n${one}\n\n b \n${one} \n`;
    for (const pieces of cuts(text, randomFrom(3))) {
      expect(parted(hermesForm, pieces)).toEqual({ text: " ab", calls: [call, call] });
    }
  });
});

describe("the form of a template", () => {
  it("is none where it takes no tools, or writes calls in a way that is not known", () => {
    expect(callFormOf("{% for m in messages %}{{ m.content }} <tool_call>{% endfor %}")).toBeNull();
    expect(callFormOf("{{ tools }}<tool_call>\n<function=f>")).toBeNull();
    expect(callFormOf("{{ tools | tojson }}")).toBeNull();
  });
});
