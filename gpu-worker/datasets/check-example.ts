/** What only the fields of an example together tell: a row a form. Shapes have been looked at before. */
import { readRelationMarks } from "#contract/relation-marks.ts";
import type { FormName, Line } from "#contract/training/forms.ts";
import { utf16Offsets } from "../tokenizer/utf16-offsets.ts";
import { codePointsIn } from "./code-points.ts";
import { tagFaults } from "./iob2.ts";
import type { TokenFault } from "./row.ts";

type Rules = { readonly [F in FormName]: (example: Line<F>) => TokenFault[] };

const none = () => [];

const rules: Rules = {
  chat: chatFaults,
  completion: none,
  "single-label": none,
  "multi-label": ({ label }) => {
    const blank = label.findIndex((each) => each.trim() === "");
    return blank < 0 ? [] : [{ code: "empty", field: `label[${blank}]` }];
  },
  regression: none,
  similarity: none,
  pairs: none,
  tags: tokensFaults,
  spans: spanFaults,
  relation: ({ text }) => {
    const read = readRelationMarks(text) ?? { fault: "nothing is marked" };
    return "fault" in read ? [{ code: "wrong_marks", field: "text", found: read.fault }] : [];
  },
  "question-answering": answerFaults,
  text: none,
};

export function checkExample<F extends FormName>(form: F, example: Line<F>): TokenFault[] {
  return rules[form](example);
}

function chatFaults({ messages }: Line<"chat">): TokenFault[] {
  const empty = messages.findIndex(({ content }) =>
    typeof content === "string" ? content.trim() === "" : content.length === 0,
  );
  if (empty >= 0) return [{ code: "empty", field: `messages[${empty}].content` }];
  const weighted = messages.findIndex(
    ({ role, weight }) => weight !== undefined && role !== "assistant",
  );
  if (weighted >= 0) return [{ code: "unknown_field", field: `messages[${weighted}].weight` }];
  if (!messages.some(({ role, weight }) => role === "assistant" && weight !== 0)) {
    return [{ code: "no_assistant" }];
  }
  const last = messages.at(-1)?.role ?? "";
  return last === "assistant" ? [] : [{ code: "last_not_assistant", found: last }];
}

function tokensFaults({ tokens, tags }: Line<"tags">): TokenFault[] {
  if (tokens.length !== tags.length) {
    const found = `${tokens.length} tokens and ${tags.length} tags`;
    return [{ code: "lengths_differ", field: "tags", found }];
  }
  const blank = tokens.findIndex((token) => token.trim() === "");
  if (blank >= 0) return [{ code: "empty", field: `tokens[${blank}]`, token: blank }];
  return tagFaults(tags);
}

/** Offsets of a text as files count them, in code points. */
function codePointsOf(text: string) {
  const offsets = utf16Offsets(text);
  const slice = (start: number, end: number) => text.slice(offsets(start), offsets(end));
  return { length: codePointsIn(text), slice };
}

function spanFaults({ text, entities }: Line<"spans">): TokenFault[] {
  const { length, slice } = codePointsOf(text);
  const faults = entities.flatMap(({ start, end, label }, at): TokenFault[] => {
    const field = `entities[${at}]`;
    if (start >= end || end > length) {
      return [
        { code: "span_outside", field, found: `${start} to ${end}`, expected: String(length) },
      ];
    }
    if (slice(start, end).trim() === "") return [{ code: "span_blank", field }];
    return label.trim() === "" ? [{ code: "empty", field: `${field}.label` }] : [];
  });
  if (faults.length > 0) return faults;
  const inOrder = [...entities.entries()].sort(([, a], [, b]) => a.start - b.start);
  return inOrder.flatMap(([at, { start }], place): TokenFault[] => {
    const before = inOrder[place - 1]?.[1].end ?? 0;
    return start < before ? [{ code: "spans_overlap", field: `entities[${at}]` }] : [];
  });
}

/** Answers as one list, however the line has them; null where its two lists differ in length. */
export function answersOf({ answers }: Line<"question-answering">) {
  if (Array.isArray(answers)) return answers;
  const { text, answer_start: starts } = answers;
  if (text.length !== starts.length) return null;
  return text.map((each, at) => ({ text: each, answer_start: starts[at] ?? 0 }));
}

function answerFaults(example: Line<"question-answering">): TokenFault[] {
  const answers = answersOf(example);
  if (answers === null) {
    const found = "answers.text and answers.answer_start differ in length";
    return [{ code: "lengths_differ", field: "answers", found }];
  }
  const { context } = example;
  const { slice } = codePointsOf(context);
  return answers.flatMap(({ text, answer_start: start }, at): TokenFault[] => {
    if (slice(start, start + codePointsIn(text)) === text) return [];
    const units = context.indexOf(text);
    const expected =
      units < 0
        ? "copy the answer from the context, letter by letter"
        : `it first stands at ${codePointsIn(context.slice(0, units))}: count from 0, in code points`;
    return [{ code: "answer_elsewhere", field: `answers[${at}]`, found: String(start), expected }];
  });
}
