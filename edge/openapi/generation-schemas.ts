/** Answers that hold what a model wrote, whole and as it is written, as the published description words them. */
import * as z from "zod";
import { generationLimits } from "#contract/tasks/generation.ts";

const count = z.int().nonnegative();
const model = z.string().describe("The model's own id.");
const id = z.string().describe("The answer's own id.");
const created = z.int().describe("When it was asked for, in seconds since the epoch.");
const system_fingerprint = z
  .string()
  .describe("Begins as the digest of the model's bytes and of the form they are computed in.");
const index = count.describe("Which choice it is; those of several prompts follow one another.");
const logprob = z.number().describe("Natural logarithm, of the model's own distribution.");
const finish_reason = z
  .enum(["stop", "length"])
  .describe("stop: the model ended, or a stop string came. length: max_tokens, or the context.");
const chatFinish = z
  .enum(["stop", "length", "tool_calls", "function_call"])
  .describe(
    "stop: the model ended, or a stop string came. length: max_tokens, or the context. tool_calls: it waits for what " +
      "it called. function_call: the same, where functions were declared.",
  );
const notYet = "Null: it goes on.";

export const forcedTokens = count.describe(
  "Those that a structure left no choice of: made without a step of the model.",
);

export const CompletionUsage = z
  .object({
    prompt_tokens: count.describe("Tokens that were read."),
    completion_tokens: count.describe("Tokens that were written, of all choices."),
    total_tokens: count.describe("Both: what the request cost, in units."),
    prompt_tokens_details: z
      .object({
        cached_tokens: count.describe("Those that another request had the model read before."),
      })
      .describe("Of the tokens that were read."),
    completion_tokens_details: z
      .object({
        forced_tokens: forcedTokens,
      })
      .optional()
      .describe("Of the tokens that were written. Only where a structure left no choice of some."),
  })
  .describe("What was read and written.");

const chatToken = {
  token: z.string().describe("The token by itself, as text."),
  logprob,
  bytes: z
    .array(z.int().min(0).max(255))
    .nullable()
    .describe("Its bytes. Null: a token without any."),
};
export const ChatTopLogprob = z.object(chatToken);
export const ChatTokenLogprob = z.object({
  ...chatToken,
  top_logprobs: z
    .array(ChatTopLogprob)
    .max(generationLimits.topLogprobsMax)
    .describe("The likeliest at this place, the likeliest first."),
});
export const ChatLogprobs = z.object({
  content: z.array(ChatTokenLogprob).describe("Of each token."),
  refusal: z.null().describe("Nothing is refused."),
});
const chatLogprobs = ChatLogprobs.nullable().describe("Null: not asked for.");

const functionName = z.string().describe("Of a function that the request declared.");
const functionArguments = z.string().describe("JSON text that the function's schema validates.");
const callId = z.string().describe("Of the call: the message that answers it names it.");
const calledFunction = { name: functionName, arguments: functionArguments };
const callType = z.literal("function").describe("What is called.");

export const ChatToolCall = z.object({
  id: callId,
  type: callType,
  function: z.object(calledFunction).describe("What is called, with what."),
});

const grown = {
  name: functionName.optional(),
  arguments: z.string().optional().describe("What its arguments have grown by."),
};

export const ChatToolCallDelta = z.object({
  index: count.describe("Which call of the choice it is."),
  id: callId.optional(),
  type: callType.optional(),
  function: z.object(grown).describe("Its name comes once, its arguments bit by bit."),
});

export const ChatCompletionResponse = z.object({
  id,
  object: z.literal("chat.completion").describe("What this is."),
  created,
  model,
  system_fingerprint,
  choices: z
    .array(
      z.object({
        index,
        message: z
          .object({
            role: z.literal("assistant").describe("Who speaks."),
            content: z.string().nullable().describe("What is said. Null: there are calls alone."),
            refusal: z.null().describe("Nothing is refused."),
            tool_calls: z
              .array(ChatToolCall)
              .min(1)
              .optional()
              .describe("What is to be called. Absent: nothing."),
            function_call: z
              .object(calledFunction)
              .optional()
              .describe("The same, where functions were declared."),
          })
          .describe("The next message of the conversation."),
        logprobs: chatLogprobs,
        finish_reason: chatFinish,
      }),
    )
    .describe("As many as n."),
  usage: CompletionUsage,
});

const chunkUsage = CompletionUsage.nullish().describe(
  "With include_usage: null in each chunk but the last, which has no choices.",
);

export const ChatCompletionChunk = z.object({
  id,
  object: z.literal("chat.completion.chunk").describe("What this is."),
  created,
  model,
  system_fingerprint,
  choices: z
    .array(
      z.object({
        index,
        delta: z
          .object({
            role: z.literal("assistant").optional().describe("With the first of a choice."),
            content: z.string().optional().describe("What is said next."),
            refusal: z.null().optional().describe("Nothing is refused."),
            tool_calls: z.array(ChatToolCallDelta).optional().describe("Calls that have grown."),
            function_call: z
              .object(grown)
              .optional()
              .describe("The same, where functions were declared."),
          })
          .describe("What is new."),
        logprobs: chatLogprobs,
        finish_reason: chatFinish.nullable().describe(notYet),
      }),
    )
    .describe("Those that have grown."),
  usage: chunkUsage,
});

export const CompletionLogprobs = z.object({
  text_offset: z.array(count).describe("Code points of the text before each token."),
  token_logprobs: z
    .array(z.number().nullable())
    .describe("Of each token. Null: nothing came before it."),
  tokens: z.array(z.string()).describe("Each token as text; a part of a character by its bytes."),
  top_logprobs: z
    .array(z.record(z.string(), z.number()).nullable())
    .describe("The likeliest at each place, and the one that was taken."),
});
const completionChoice = {
  text: z.string().describe("What is written."),
  index,
  logprobs: CompletionLogprobs.nullable().describe("Null: not asked for."),
};
const completion = {
  id,
  object: z.literal("text_completion").describe("What this is."),
  created,
  model,
  system_fingerprint,
};

export const CompletionResponse = z.object({
  ...completion,
  choices: z
    .array(z.object({ ...completionChoice, finish_reason }))
    .describe("As many as n, for each prompt."),
  usage: CompletionUsage,
});

export const CompletionChunk = z.object({
  ...completion,
  choices: z
    .array(
      z.object({ ...completionChoice, finish_reason: finish_reason.nullable().describe(notYet) }),
    )
    .describe("Those that have grown."),
  usage: chunkUsage,
});

export const TgiToken = z.object({
  id: count.describe("In the model's own vocabulary."),
  text: z.string().describe("The token by itself, as text."),
  logprob,
  special: z.boolean().describe("Whether it is one of the model's special tokens."),
});
const tgiEnd = {
  finish_reason: z.enum(["length", "eos_token", "stop_sequence"]).describe("Why it ended."),
  generated_tokens: count.describe("Tokens that were written."),
  seed: z.int().nullable().describe("As it was sent. Null: none was."),
};
const topTokens = z
  .array(TgiToken)
  .describe("The likeliest at this place. Only where top_n_tokens asks for them.");

export const GeneratedTextResponse = z
  .array(
    z.object({
      generated_text: z.string().describe("What is written."),
      details: z
        .object({
          ...tgiEnd,
          prefill: z.array(z.unknown()).describe("Nothing is told of the prompt."),
          tokens: z.array(TgiToken).describe("What was written, token by token."),
          top_tokens: z
            .array(topTokens)
            .optional()
            .describe("The likeliest at each place. Only where top_n_tokens asks for them."),
        })
        .optional()
        .describe("Where details ask for them."),
    }),
  )
  .describe("One text.");

export const GeneratedTextChunk = z.object({
  index: count.describe("Which token it is, from 1."),
  token: TgiToken.describe("What is written next."),
  top_tokens: topTokens.optional(),
  generated_text: z.string().nullable().describe("All of it, with the last token; else null."),
  details: z.object(tgiEnd).nullable().describe("With the last token; else null."),
});

export const SummarizationResponse = z.array(
  z.object({ summary_text: z.string().describe("The summary of a text.") }),
);

export const TranslationResponse = z.array(
  z.object({ translation_text: z.string().describe("The translation of a text.") }),
);
