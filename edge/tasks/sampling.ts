/**
 * What bodies of OpenAI's chat and completions say alike of how text is written, and what of it a worker is told.
 * Beside OpenAI's own fields there are those that callers of vLLM and TGI send.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { generationParameters } from "#contract/tasks/generation.ts";
import { fieldsOf } from "./fields-of.ts";

const { stop, top_logprobs: _, structure: __, ...own } = generationParameters;
const stops = stop.unwrap();

export const StreamOptions = z
  .strictObject({
    include_usage: z
      .boolean()
      .optional()
      .describe("One more chunk, before the last line, tells what was used. Default: false."),
    include_obfuscation: z
      .literal(false)
      .optional()
      .describe("Chunks are padded to no length here: only false can be asked for."),
  })
  .describe("How the stream looks. Only with stream.");

export const samplingFields = {
  ...own,
  stop: z
    .union([stops.element, stops])
    .optional()
    .describe("A choice ends before this, or before the first of several."),
  stream: z
    .boolean()
    .optional()
    .describe("The answer comes as it is written, as server-sent events. Default: false."),
  stream_options: StreamOptions.optional(),
  user: z.string().optional().describe("Accepted, and not acted on."),
} as const;

export type Sampling = z.infer<z.ZodObject<typeof samplingFields>>;

/** For a worker. What says nothing is left out: the same computation has the same key. */
export function samplingParameters(body: Sampling): Record<string, unknown> {
  const { stop: given, n, temperature } = body;
  const list = typeof given === "string" ? [given] : given;
  return {
    ...fieldsOf(body, own),
    n: n === 1 ? undefined : n,
    temperature: temperature === 1 ? undefined : temperature,
    stop: list?.length === 0 ? undefined : list,
  };
}

/** @throws CodedError where something is said of a stream that is not asked for */
export function checkStreamOptions({ stream, stream_options: options }: Sampling): void {
  if (options === undefined || stream === true) return;
  throw new CodedError(
    "invalid_value",
    "stream_options says how a stream looks, and none is asked for. Set stream to true, or leave it out.",
    { param: "stream_options" },
  );
}

/** OpenAI's ids are of its own vocabularies. @param model its id @returns warnings */
export function noteOwnIds(
  model: string,
  { logit_bias: bias }: Pick<Sampling, "logit_bias">,
  promptIds = false,
): string[] {
  return [
    ...(bias === undefined ? [] : [`logit_bias: its keys are read as ${model}'s own token ids`]),
    ...(promptIds ? [`prompt: token ids are read as ${model}'s own`] : []),
  ];
}
