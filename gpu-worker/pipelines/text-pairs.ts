/** Rows of texts that are classified: alone, or each beside another. */
import type { TaskInput } from "#contract/tasks.ts";
import type { EncodedInput, InputEncoder, InputTokens } from "./encode-input.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { TokenCounter } from "./sentence-request.ts";

type Input = TaskInput<"text-classification">;

/** The texts of an input under their names in the request. */
function namedTexts(input: Input, at: number) {
  const name = `inputs[${at}]`;
  if (typeof input === "string") return [{ input, name }];
  return [
    { input: input.text, name: `${name}.text` },
    { input: input.text_pair, name: `${name}.text_pair` },
  ];
}

/** A row with the virtual tokens of a soft prompt before it. */
export function behind<Row extends Pick<EncodedInput, "ids" | "typeIds">>(
  softPrompt: readonly number[],
  row: Row,
): Row {
  const { ids, typeIds } = row;
  const types = typeIds && { typeIds: [...softPrompt.map(() => 0), ...typeIds] };
  return { ...row, ids: [...softPrompt, ...ids], ...types };
}

/** One row per input. @throws CodedError for an input or a request that is too long; the signal's reason */
export async function rowsOfTexts(
  inputs: readonly Input[],
  encoder: InputEncoder,
  {
    counter,
    outputs,
    softPrompt = [],
  }: {
    counter: TokenCounter;
    outputs: readonly OutputName[];
    /** Ids that each row begins with, which count as nobody's. */
    softPrompt?: readonly number[] | undefined;
  },
): Promise<EncoderRow[]> {
  const texts = inputs.map(namedTexts);
  const rows: EncoderRow[] = [];
  let first: InputTokens | null = null;
  for await (const tokens of encoder.tokens(texts.flat())) {
    const waits = texts[rows.length]?.length === 2 && first === null;
    if (waits) {
      first = tokens;
      continue;
    }
    const encoded = first === null ? encoder.single(tokens) : encoder.both(first, tokens);
    counter.add(encoded);
    rows.push({ ...behind(softPrompt, encoded), outputs });
    first = null;
  }
  return rows;
}
