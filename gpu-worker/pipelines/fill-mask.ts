/**
 * What may stand where a text holds the model's mask. Scores are softmax over the whole vocabulary, also where only some words
 * are considered, as in transformers' FillMaskPipeline; a sequence is the text as it was sent, with one mask filled.
 */
import { CodedError } from "#contract/errors.ts";
import type { Filling } from "#contract/tasks/fill-mask.ts";
import type { Turns } from "../event-loop/turns.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { EncoderModel } from "./encoder-model.ts";
import { type FillTargets, targetsOf } from "./fill-targets.ts";
import type { EncoderPipeline, EncoderRow } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize, jsonBytes } from "./result-size.ts";
import { RequestTally } from "./sentence-request.ts";
import { type TextTokens, encodeWhole } from "./text-tokens.ts";
import { topSoftmax } from "./top-scores.ts";

type Mask = NonNullable<Tokenizer["mask"]>;

/** Where a mask stands in its text, UTF-16 code units `[start, end)`. */
type Gap = { text: string; start: number; end: number };

/** More masks make scores for hundreds of millions of words. */
const masksPerRequestMax = 2_048;

/** Scores of one row, 8 MB. A text with more masks than make so many is read again for the others. */
const scoresPerRow = 2 ** 21;

export const fillMask: EncoderPipeline<"fill-mask"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    const mask = maskOf(model);
    const { top_k: topK = 5, targets: words } = parameters;
    const targets = words === undefined ? null : await targetsOf(words, model, engine.signal);
    const tally = new RequestTally();
    const masked = await encode(inputs, model, { mask, tally, signal: engine.signal });
    const rows = masked.map(({ row }) => row);
    const fix = "Lower top_k, or send fewer or shorter texts.";
    const kept = Math.min(topK, targets?.ids.length ?? model.limits.vocabularySize);
    await new ResultSize(engine, { param: "top_k", fix }).expect(bytesOf(masked, kept));
    const filler = { tokenizer: model.tokenizer, mask, targets, topK, written: new Map() };
    const filled = await readRows(rows, model, engine, {
      floatsOf: ({ positions = [] }) => positions.length * model.limits.vocabularySize,
      read: ({ logits = new Float32Array() }, at, turns) =>
        fillAll(masked[at]?.gaps ?? [], logits, { ...filler, turns }),
    });
    const byInput: Filling[][][] = inputs.map(() => []);
    for (const [at, { input }] of masked.entries()) byInput[input]?.push(...(filled[at] ?? []));
    return {
      outputs: byInput.map((lists) => (lists.length === 1 ? (lists[0] ?? []) : lists)),
      usage: tally.usage(),
      warnings: targets?.warnings ?? [],
    };
  },
};

function maskOf({ head, tokenizer, id }: EncoderModel): Mask {
  if (head.name === "masked-lm" && tokenizer.mask !== null) return tokenizer.mask;
  const why = head.name === "masked-lm" ? "its tokenizer has no mask" : "it is no masked-lm";
  throw new CodedError("invalid_value", `${id} fills no masks: ${why}`, { param: "model" });
}

type EncodeOptions = { mask: Mask; tally: RequestTally; signal: AbortSignal };

/** A text, or those of its masks that are read together. */
type MaskedRow = { input: number; row: EncoderRow; gaps: Gap[] };

async function encode(
  inputs: readonly string[],
  model: EncoderModel,
  { mask, tally, signal }: EncodeOptions,
): Promise<MaskedRow[]> {
  const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
  const perRow = Math.max(1, Math.floor(scoresPerRow / model.limits.vocabularySize));
  const rows: MaskedRow[] = [];
  let [input, masks] = [0, 0];
  for await (const tokens of encodeWhole(texts, model, { signal, fix: "Shorten it." })) {
    const masked = tokens.ids.flatMap((id, at) => (id === mask.id ? [at] : []));
    masks += masked.length;
    if (masked.length === 0) throw nothingMasked(tokens.name, mask, model);
    if (masks > masksPerRequestMax) throw tooManyMasks(mask);
    const { ids, starts } = model.tokenizer.wrap(tokens.ids);
    for (let from = 0; from < masked.length; from += perRow) {
      const some = masked.slice(from, from + perRow);
      const positions = some.map((at) => (starts[0] ?? 0) + at);
      tally.add({ ids, truncated: false });
      const gaps = some.map((at) => gapOf(tokens, at, mask));
      rows.push({ input, row: { ids, positions, outputs: ["logits"] }, gaps });
    }
    input += 1;
  }
  return rows;
}

function nothingMasked(name: string, mask: Mask, { id }: EncoderModel): CodedError {
  return new CodedError(
    "invalid_value",
    `${name} holds no ${mask.text}, which marks what ${id} is to fill. Write ${mask.text} in place of a word.`,
    { param: name },
  );
}

function tooManyMasks(mask: Mask): CodedError {
  return new CodedError(
    "invalid_value",
    `The inputs hold more than ${masksPerRequestMax} ${mask.text} in all. Send them in several requests.`,
    { param: "inputs" },
  );
}

/** Without the white space that some tokenizers count as part of the mask. */
function gapOf({ text, offsets }: TextTokens, at: number, mask: Mask): Gap {
  const [from, to] = offsets[at] ?? [0, 0];
  const found = text.indexOf(mask.text, from);
  if (found === -1 || found + mask.text.length > to) return { text, start: from, end: to };
  return { text, start: found, end: found + mask.text.length };
}

/** Of a filling besides its sequence. */
const fillingBytes = 64;

/** @param kept fillings of each mask */
function bytesOf(masked: readonly MaskedRow[], kept: number): number {
  let bytes = 0;
  let last = { text: "", bytes: 0 };
  for (const { gaps } of masked) {
    for (const { text } of gaps) {
      if (text !== last.text) last = { text, bytes: jsonBytes(text) };
      bytes += kept * (last.bytes + fillingBytes);
    }
  }
  return bytes;
}

/** A token as it reads by itself, and behind a mask: null where that cannot be told from the mask's own text. */
type Written = { alone: string; joined: string | null };

type Filler = {
  tokenizer: Tokenizer;
  mask: Mask;
  targets: FillTargets | null;
  topK: number;
  /** By token: the same few fill many masks. */
  written: Map<number, Written>;
  turns: Turns;
};

/** @param logits f32 `[gaps, vocabulary]` */
async function fillAll(
  gaps: readonly Gap[],
  logits: Float32Array,
  filler: Filler,
): Promise<Filling[][]> {
  const { turns, topK, targets } = filler;
  const width = logits.length / gaps.length;
  const lists: Filling[][] = [];
  for (const [at, gap] of gaps.entries()) {
    if (turns.over) await turns.next();
    const own = logits.subarray(at * width, (at + 1) * width);
    const best = topSoftmax(own, topK, targets?.ids ?? null);
    const list = await turns.map(best, ({ at: token, score }): Filling => {
      const written = writtenOf(token, filler);
      return { sequence: fill(gap, written), score, token, token_str: written.alone };
    });
    lists.push(list);
  }
  return lists;
}

function writtenOf(token: number, { tokenizer, mask, written }: Filler): Written {
  const known = written.get(token);
  if (known !== undefined) return known;
  const alone = tokenizer.decode([token], { keepSpecialTokens: true }).trim();
  const both = tokenizer.decode([mask.id, token], { keepSpecialTokens: true });
  const joined = both.startsWith(mask.text) ? both.slice(mask.text.length) : null;
  const made = { alone, joined };
  written.set(token, made);
  return made;
}

/** A token that goes on with the word before, as its tokenizer puts them together, is joined to it. */
function fill({ text, start, end }: Gap, { alone, joined }: Written): string {
  const [before, after] = [text.slice(0, start), text.slice(end)];
  if (joined === null) return before + alone + after;
  const goesOn = !/^\s/.test(joined);
  return (goesOn ? before.trimEnd() : before) + joined.trim() + after;
}
