/**
 * Models whose outputs a test writes down itself, token by token, with a tokenizer that can be followed by hand: words
 * are runs of letters, or single other characters; of each word three letters make a token, later ones begin with `##`;
 * marks are left out, as uncased BERT leaves them out.
 */
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import type { EncoderRow, RowResult } from "../../gpu-worker/model/encoder-row.ts";
import type { TaskContext } from "../../gpu-worker/pipelines/pipeline.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { TextEncoding, Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

export type ToyTokenizer = Tokenizer & { textOf(id: number): string; idOf(token: string): number };

const [cls, sep, maskId] = [0, 1, 2];

export function toyTokenizer(): ToyTokenizer {
  const vocabulary = ["[CLS]", "[SEP]", "[MASK]"];
  const idOf = (token: string) => {
    const known = vocabulary.indexOf(token);
    return known === -1 ? vocabulary.push(token) - 1 : known;
  };
  const textOf = (id: number) => vocabulary[id] ?? "";
  const decode = (ids: readonly number[], { keepSpecialTokens = false } = {}) =>
    ids
      .filter((id) => keepSpecialTokens || id > maskId)
      .map(textOf)
      .join(" ")
      .replaceAll(/(?<=\S) ##/g, "");
  return {
    idOf,
    textOf,
    encode: (texts, { tokensMax = Infinity } = {}) =>
      Promise.resolve(texts.map((text) => encodeToy(text, idOf, tokensMax))),
    decode,
    decodeAll: (lists, options) => Promise.resolve(lists.map((ids) => decode(ids, options))),
    token: (id) => ({ text: textOf(id), bytes: null, special: id <= maskId }),
    idOfToken: (token) => (vocabulary.includes(token) ? vocabulary.indexOf(token) : null),
    wrap(first, second) {
      const ids = [cls, ...first, sep, ...(second === undefined ? [] : [...second, sep])];
      const split = first.length + 2;
      return {
        ids,
        typeIds: ids.map((_, at) => (at < split ? 0 : 1)),
        starts: second === undefined ? [1] : [1, split],
      };
    },
    unwrap: (ids) => [...ids],
    isWrapped: () => false,
    specialTokens: { single: 2, pair: 3 },
    mask: { id: maskId, text: "[MASK]" },
    unknownId: null,
    paddingId: null,
    marksContinuation: true,
    lowersCase: false,
    vocabularySize: 1_000,
  };
}

function encodeToy(text: string, idOf: (token: string) => number, tokensMax: number): TextEncoding {
  const tokens: { id: number; offset: [number, number]; word: number }[] = [];
  let word = -1;
  for (const run of text.matchAll(/\[MASK\]|[a-z\p{M}]+|[^\s\p{M}]/giu)) {
    const letters = run[0] === "[MASK]" ? [] : [...run[0].matchAll(/\P{M}\p{M}*/gu)];
    if (/^\p{M}+$/u.test(run[0])) continue;
    word += 1;
    if (letters.length === 0) {
      tokens.push({ id: idOf(run[0]), offset: [run.index, run.index + run[0].length], word });
    }
    for (let at = 0; at < letters.length; at += 3) {
      const some = letters.slice(at, at + 3);
      const last = some.at(-1);
      const bare = some.map(([letter]) => [...letter][0]).join("");
      const end = (last?.index ?? 0) + ([...(last?.[0] ?? "")][0]?.length ?? 0);
      const offset: [number, number] = [run.index + (some[0]?.index ?? 0), run.index + end];
      tokens.push({ id: idOf(at === 0 ? bare : `##${bare}`), offset, word });
    }
  }
  const kept = tokens.slice(0, tokensMax + 1);
  return {
    ids: kept.map(({ id }) => id),
    offsets: kept.map(({ offset }) => offset),
    words: kept.map(({ word: each }) => each),
    complete: kept.length === tokens.length,
  };
}

/** Outputs of one row: a list of numbers for each token, or position. */
export type ToyOutputs = (
  row: EncoderRow,
) => Partial<Record<keyof RowResult, readonly (readonly number[])[]>>;

export type ToyModel = EncoderModel & { readonly rows: EncoderRow[] };

export type ToyParts<T extends Tokenizer> = {
  head: ModelHead;
  tokenizer: T;
  maxTokens?: number;
  entityModel?: string;
  outputs: ToyOutputs;
};

/** `rows` collects what it was run with. */
export function toyModel<T extends Tokenizer>(parts: ToyParts<T>): ToyModel {
  const { head, tokenizer, maxTokens = 16, entityModel = null, outputs } = parts;
  const rows: EncoderRow[] = [];
  const inputs = ["input_ids", "attention_mask", "token_type_ids"];
  return {
    kind: "encoder",
    id: "toy",
    digest: "toy-digest",
    limits: { maxTokens, dimensions: null, vocabularySize: tokenizer.vocabularySize },
    tokenizer,
    tasks: [],
    head,
    entityModel,
    sentence: null,
    rows,
    session: {
      concurrency: 1,
      inputs: [...inputs, ...(head.name === "masked-lm" ? ["positions"] : [])].map((name) => ({
        name,
      })),
      outputs: [],
      run(feeds, { outputs: wanted }) {
        const batch = rowsOf(feeds);
        rows.push(...batch);
        const made = batch.map(outputs);
        const columns = feeds["input_ids"]?.shape[1] ?? 0;
        const masked = head.name === "masked-lm";
        return Promise.resolve(
          Object.fromEntries(
            wanted.map((name) => {
              const lists = made.map((each) => each[name as keyof RowResult] ?? []);
              return [name, masked ? concatenated(lists) : padded(lists, columns, name)];
            }),
          ),
        );
      },
    },
  };
}

function numbersOf(tensor: Tensor | undefined): number[] {
  return tensor?.dtype === "int64" ? [...tensor.data].map(Number) : [];
}

function rowsOf(feeds: Record<string, Tensor>): EncoderRow[] {
  const [count = 0, columns = 0] = feeds["input_ids"]?.shape ?? [];
  const [ids, shown, types, flat] = [
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "positions",
  ].map((name) => numbersOf(feeds[name]));
  return Array.from({ length: count }, (_, row) => {
    const from = row * columns;
    const length = shown?.slice(from, from + columns).filter((one) => one === 1).length ?? 0;
    const positions = flat?.filter((at) => at >= from && at < from + columns) ?? [];
    return {
      ids: ids?.slice(from, from + length) ?? [],
      typeIds: types?.slice(from, from + length) ?? [],
      positions: positions.map((at) => at - from),
      outputs: [],
    };
  });
}

function concatenated(lists: readonly (readonly (readonly number[])[])[]): Tensor {
  const all = lists.flat();
  const width = all[0]?.length ?? 0;
  return { dtype: "float32", shape: [all.length, width], data: Float32Array.from(all.flat()) };
}

function padded(
  lists: readonly (readonly (readonly number[])[])[],
  columns: number,
  name: string,
): Tensor {
  const width = lists[0]?.[0]?.length ?? 0;
  const perRow = lists.every((list) => list.length === 1);
  const tall = perRow ? 1 : columns;
  const data = new Float32Array(lists.length * tall * width);
  for (const [row, list] of lists.entries()) data.set(list.flat(), row * tall * width);
  if (name.endsWith("_logits")) return { dtype: "float32", shape: [lists.length, columns], data };
  const shape = perRow ? [lists.length, width] : [lists.length, columns, width];
  return { dtype: "float32", shape, data };
}

/** Runs rows as they come; knows `models` by id. */
export function toyContext(models: Readonly<Record<string, EncoderModel>> = {}): TaskContext {
  const { signal } = new AbortController();
  return {
    signal,
    run: (model, rows) => runRows(rows, model, signal),
    acquire(id) {
      const model = models[id];
      return model === undefined ? Promise.reject(new Error(`no ${id}`)) : Promise.resolve(model);
    },
    charge: () => {},
    reserveOutputs: () => Promise.resolve(() => undefined),
    reserveResult: () => Promise.resolve(),
    classifier: (_key, fit) => fit(),
  };
}
