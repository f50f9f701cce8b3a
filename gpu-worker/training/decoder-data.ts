/**
 * Examples that a decoder is trained with, as the loop trains and judges them: the loss of the tokens that are learnt,
 * their perplexity and how many of them are the likeliest, before and after.
 */
import type { FormName, Line } from "#contract/training/forms.ts";
import type { TextScores } from "../evaluation/held-out.ts";
import type { ChatTemplate } from "../model/decoder-model.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { sum } from "../tensor/vectors.ts";
import { encodeChats } from "./chat-rows.ts";
import type { ChatExample } from "./chat-rows.ts";
import { unlabelledParts } from "./checked-data.ts";
import type { DataFiles, Parts } from "./checked-data.ts";
import type { LearntRow, TextReader } from "./learnt-rows.ts";
import { packedFeeds } from "./packed-rows.ts";
import { encodeCompletions, encodeProse } from "./prose-rows.ts";
import type { CompletionExample } from "./prose-rows.ts";
import { picked } from "./served-rows.ts";
import type { BatchData, JudgedPart } from "./training-task.ts";

export type DecoderData =
  | { readonly task: "chat"; readonly parts: Parts<ChatExample> }
  | { readonly task: "completion"; readonly parts: Parts<CompletionExample> }
  | { readonly task: "pretraining"; readonly parts: Parts<string> };

const decoderForms = ["chat", "completion", "text"] as const;
export type DecoderForm = (typeof decoderForms)[number];

export function isDecoderForm(form: FormName | null): form is DecoderForm {
  return decoderForms.some((each) => each === form);
}

const textsOf = (lines: readonly Line<"text">[]) => lines.map(({ text }) => text);

/** @throws DataError where nothing can be held out; what a source throws; the signal's reason */
export async function readDecoderData(
  files: DataFiles,
  { form, seed, signal }: { form: DecoderForm; seed: number; signal: AbortSignal },
): Promise<DecoderData> {
  switch (form) {
    case "chat":
      return { task: "chat", parts: await unlabelledParts(files, form, { seed, signal }) };
    case "completion":
      return { task: "completion", parts: await unlabelledParts(files, form, { seed, signal }) };
    case "text": {
      const { training, heldOut } = await unlabelledParts(files, form, { seed, signal });
      const parts = { training: textsOf(training), heldOut: textsOf(heldOut) };
      return { task: "pretraining", parts };
    }
  }
}

export type EncodedTexts = Parts<LearntRow>;

async function encodeParts<T>(
  { training, heldOut }: Parts<T>,
  encode: (examples: readonly T[]) => Promise<LearntRow[]>,
): Promise<EncodedTexts> {
  return { training: await encode(training), heldOut: await encode(heldOut) };
}

/** As the base reads them. @throws DataError for what it cannot; the signal's reason */
export async function encodeDecoderData(
  { task, parts }: DecoderData,
  reader: TextReader & { readonly chatTemplate: ChatTemplate | null },
  signal: AbortSignal,
): Promise<EncodedTexts> {
  switch (task) {
    case "chat":
      return await encodeParts(parts, (examples) => encodeChats(examples, reader, signal));
    case "completion":
      return await encodeParts(parts, (examples) => encodeCompletions(examples, reader, signal));
    case "pretraining":
      return await encodeParts(parts, (texts) => encodeProse(texts, reader, signal));
  }
}

export function batchData(rows: readonly LearntRow[], paddingId: number): BatchData {
  return {
    feeds: (indices) =>
      packedFeeds(
        indices.flatMap((at) => rows[at] ?? []),
        paddingId,
      ),
  };
}

function floatsOf(tensor: Tensor | undefined): Float32Array {
  if (tensor?.dtype !== "float32") throw new TypeError("an evaluation gives each token's scores");
  return tensor.data;
}

/** Of a text: the log likelihood of what is learnt of it, and how many tokens of that are the likeliest. */
function textScores(
  results: Readonly<Record<string, Tensor>>,
  rows: readonly LearntRow[],
): Float32Array[] {
  const likelihoods = floatsOf(results["log_likelihoods"]);
  const hits = floatsOf(results["hits"]);
  let from = 0;
  return rows.map(({ learnt }) => {
    const to = from + learnt.length;
    const scores = [likelihoods, hits].map((list) => sum(list.subarray(from, to)));
    from = to;
    return Float32Array.from(scores);
  });
}

/** @param rows as `judge` takes them */
function scoresOf(rows: readonly Float32Array[]): Required<TextScores> {
  return {
    logLikelihoods: rows.map(([likelihood = NaN]) => likelihood),
    hits: rows.map(([, hits = NaN]) => hits),
  };
}

export type JudgedTexts = Omit<JudgedPart, "rows" | "take" | "against"> & {
  readonly rows: readonly LearntRow[];
  take(examples: readonly number[]): JudgedTexts;
  against(base: readonly Float32Array[]): JudgedTexts;
};

/** @param base what the base makes of the same rows; none: not known @param texts as they are shown */
export function judgedTexts(
  rows: readonly LearntRow[],
  { paddingId, texts }: { readonly paddingId: number; readonly texts: readonly string[] },
  base: readonly Float32Array[] = [],
): JudgedTexts {
  const tokens = rows.map(({ learnt }) => learnt.length);
  const total = tokens.reduce((all, count) => all + count, 0);
  return {
    rows,
    examples: rows.length,
    take: (examples) => {
      const options = { paddingId, texts: picked(texts, examples) };
      return judgedTexts(picked(rows, examples), options, picked(base, examples));
    },
    against: (scores) => judgedTexts(rows, { paddingId, texts }, scores),
    data: {
      ...batchData(rows, paddingId),
      read: (results, indices) => {
        const loss = -sum(floatsOf(results["log_likelihoods"])) / total;
        return { rows: textScores(results, picked(rows, indices)), loss };
      },
      judge: (scores) => ({
        kind: "texts",
        texts,
        tokens,
        // While the base is not asked, only the tuned system's figures are read.
        base: scoresOf(base.length === 0 ? scores : base),
        tuned: scoresOf(scores),
      }),
    },
  };
}
