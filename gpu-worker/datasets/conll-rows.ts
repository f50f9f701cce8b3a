/**
 * Sentences of CoNLL's form: a token a line, its tag in the last column, a blank line behind each sentence. Columns
 * between the two are not read. `-DOCSTART-` ends a sentence as a blank line does.
 */
import { splitColumns } from "#contract/training/container.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { TextLine } from "./lines.ts";
import type { Row, RowReader, TokenFault } from "./row.ts";

type Sentence = {
  readonly line: number;
  readonly tokens: string[];
  readonly tags: string[];
  readonly faults: TokenFault[];
  /** Lines read. */
  length: number;
};

const { tokensPerExampleMax: tokensMax, problemsPerLineMax } = trainingLimits;

export function conllRows(columnCount: number): RowReader {
  let sentence: Sentence | null = null;
  function* finish(): Generator<Row> {
    if (sentence !== null) yield rowOf(sentence);
    sentence = null;
  }
  const add = (number: number, read: (into: Sentence) => void) => {
    sentence ??= { line: number, tokens: [], tags: [], faults: [], length: 0 };
    read(sentence);
    sentence.length += 1;
  };
  return {
    *push(line) {
      if ("fault" in line) {
        add(line.number, (into) => addFault(into, line.fault));
      } else if (line.text.trim() === "" || line.text.startsWith("-DOCSTART-")) {
        yield* finish();
      } else if (sentence !== null || !isComment(line, columnCount)) {
        add(line.number, (into) => readToken(into, line, columnCount));
      }
    },
    end: finish,
  };
}

/** Some files say where a sentence is from, before it. */
function isComment({ text }: TextLine, columnCount: number): boolean {
  return text.startsWith("# ") && splitColumns(text).length !== columnCount;
}

function addFault({ faults, length }: Sentence, fault: TokenFault): void {
  if (faults.length < problemsPerLineMax) faults.push({ ...fault, token: length });
}

function readToken(sentence: Sentence, { text }: TextLine, columnCount: number): void {
  if (sentence.length >= tokensMax) return;
  const columns = splitColumns(text);
  const [token = ""] = columns;
  if (columns.length !== columnCount) {
    const [found, expected] = [String(columns.length), String(columnCount)];
    addFault(sentence, { code: "column_count", found, expected });
  } else if (text.includes("\0")) {
    addFault(sentence, { code: "nul_character", field: "the token" });
  }
  sentence.tokens.push(token);
  sentence.tags.push((columns.at(-1) ?? "").trim());
}

function rowOf({ line, tokens, tags, faults, length }: Sentence): Row {
  if (length > tokensMax) {
    const fault = {
      code: "too_long",
      field: "the sentence",
      expected: `${tokensMax} tokens`,
    } as const;
    return { line, faults: [fault] };
  }
  const tokenLines = true;
  return faults.length > 0
    ? { line, tokenLines, faults }
    : { line, tokenLines, fields: { tokens, tags } };
}
