/**
 * What may stand where a text holds the model's mask, as transformers' FillMaskPipeline answers: scores are softmax
 * over the whole vocabulary, also where only some words are considered; `token_str` and `sequence` are what the
 * tokenizer makes of the token, and of all tokens with one mask filled, without special tokens unless masks are left.
 */
import { CodedError } from "#contract/errors.ts";
import type { TaskOutput } from "#contract/tasks.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { targetsOf } from "./fill-targets.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize, jsonBytes } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";
import { filledSequences } from "./filled-sequences.ts";
import { encodeWhole } from "./text-tokens.ts";
import { type TopScore, topSoftmax } from "./top-scores.ts";

type Mask = NonNullable<Tokenizer["mask"]>;

/** With more masks, hundreds of millions of words would be scored. */
const masksPerRequestMax = 2_048;

/** Scores of one row, 8 MB. A text with more masks is run again for the others. */
const scoresPerRow = 2 ** 21;

export const fillMask: EncoderPipeline<"fill-mask"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const mask = maskOf(model);
    const { top_k: topK = 5, targets: words } = parameters;
    const targets = words === undefined ? null : await targetsOf(words, model, context.signal);
    const counter = new TokenCounter();
    const masked = await encode(inputs, model, { mask, counter, signal: context.signal });
    const rows = masked.map(({ row }) => row);
    const fix = "Lower top_k, or send fewer or shorter texts.";
    const kept = Math.min(topK, targets?.ids.length ?? model.limits.vocabularySize);
    const size = new ResultSize(context, { param: "top_k", fix });
    await size.expect(bytesOf(inputs, masked, kept));
    const best = await readRows(rows, model, context, {
      floatsOf: ({ positions = [] }) => positions.length * model.limits.vocabularySize,
      read: ({ logits = new Float32Array() }, at, slices) =>
        bestOfEach(logits, rows[at]?.positions ?? [], {
          topK,
          among: targets?.ids ?? null,
          slices,
        }),
    });
    const byInput: TopScore[][][] = inputs.map(() => []);
    for (const [at, { input }] of masked.entries()) byInput[input]?.push(...(best[at] ?? []));
    const outputs: TaskOutput<"fill-mask">[] = [];
    const slices = new TimeSlices(context.signal);
    for (const [input, text] of textsOf(masked).entries()) {
      const filled = await filledSequences(text, byInput[input] ?? [], { model, slices, size });
      outputs.push(filled.length === 1 ? (filled[0] ?? []) : filled);
    }
    return { outputs, usage: counter.usage(), warnings: targets?.warnings ?? [] };
  },
};

type Choice = { topK: number; among: readonly number[] | null; slices: TimeSlices };

/** @param logits f32 `[masks, vocabulary]` */
function bestOfEach(
  logits: Float32Array,
  masks: readonly number[],
  { topK, among, slices }: Choice,
): Promise<TopScore[][]> {
  const width = logits.length / masks.length;
  return slices.map(masks, (_, at) =>
    topSoftmax(logits.subarray(at * width, (at + 1) * width), topK, among),
  );
}

/** Each text once, with the positions of all its masks. */
function textsOf(rows: readonly MaskedRow[]): { ids: readonly number[]; positions: number[] }[] {
  const texts: { ids: readonly number[]; positions: number[] }[] = [];
  for (const { input, row } of rows) {
    const text = (texts[input] ??= { ids: row.ids, positions: [] });
    text.positions.push(...(row.positions ?? []));
  }
  return texts;
}

function maskOf({ head, tokenizer, id }: EncoderModel): Mask {
  if (head.name === "masked-lm" && tokenizer.mask !== null) return tokenizer.mask;
  const why = head.name === "masked-lm" ? "its tokenizer has no mask" : "it is no masked-lm";
  throw new CodedError("invalid_value", `${id} fills no masks: ${why}`, { param: "model" });
}

type EncodeOptions = { mask: Mask; counter: TokenCounter; signal: AbortSignal };

/** A text with those of its masks that one run reads. */
type MaskedRow = { input: number; row: EncoderRow };

async function encode(
  inputs: readonly string[],
  model: EncoderModel,
  { mask, counter, signal }: EncodeOptions,
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
      counter.add({ ids, truncated: false });
      rows.push({ input, row: { ids, positions, outputs: ["logits"] } });
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
    `In all there are more than ${masksPerRequestMax} ${mask.text} in inputs. Send them in several requests.`,
    { param: "inputs" },
  );
}

/** Bytes of a filling as JSON besides its sequence. */
const fillingBytes = 64;

/** @param kept fillings of each mask */
function bytesOf(inputs: readonly string[], rows: readonly MaskedRow[], kept: number): number {
  const bytes = inputs.map(jsonBytes);
  const ofRow = ({ input, row }: MaskedRow) =>
    (row.positions?.length ?? 0) * kept * ((bytes[input] ?? 0) + fillingBytes);
  return rows.reduce((sum, row) => sum + ofRow(row), 0);
}
