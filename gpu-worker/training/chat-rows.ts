/**
 * Conversations as rows of a decoder, rendered by its checkpoint's own template: what the assistant says is learnt,
 * with the token that ends its turn. Where a turn stands is told by what the template makes of the messages before it.
 */
import type { Line } from "#contract/training/forms.ts";
import { contentOf } from "../datasets/example-words.ts";
import type { ChatTemplate } from "../model/decoder-model.ts";
import type { Span } from "../pipelines/offsets.ts";
import { ChatRefused, openChatRenderer } from "../tokenizer/chat-template.ts";
import type { ChatMessage, ChatRenderer } from "../tokenizer/chat-template.ts";
import { DataError } from "./checked-data.ts";
import { encodeLearnt } from "./learnt-rows.ts";
import type { LearntRow, LearntText, TextReader } from "./learnt-rows.ts";

export type ChatExample = Line<"chat">;

type Rendering = {
  readonly renderer: ChatRenderer;
  readonly template: ChatTemplate;
  readonly signal: AbortSignal;
};

/** Of a training that goes on another day the prompts are to be the same. */
const daySaid = Date.UTC(2024, 6, 26);

const namedCharacters = 60;

function nameOf({ messages }: ChatExample): string {
  const first = messages.find(({ role }) => role === "user") ?? messages[0];
  const text = first === undefined ? "" : contentOf(first).slice(0, namedCharacters);
  return `the conversation ${JSON.stringify(text)}`;
}

function render(
  messages: readonly ChatMessage[],
  { renderer, template, signal }: Rendering,
  addGenerationPrompt: boolean,
): Promise<string> {
  return renderer.render({ ...template, messages, addGenerationPrompt }, signal);
}

type Turn = { readonly prompt: string; readonly whole: string };

/** The turn that ends with message `at`: what is asked with, and the same with what is answered. */
async function turnOf(
  messages: readonly ChatMessage[],
  at: number,
  rendering: Rendering,
): Promise<Turn> {
  const prompt = await render(messages.slice(0, at), rendering, true);
  const whole = await render(messages.slice(0, at + 1), rendering, false);
  if (whole.startsWith(prompt)) return { prompt, whole };
  // A template that ends no prompt where an answer begins: what it adds for the message is the turn.
  const before = await render(messages.slice(0, at), rendering, false);
  if (whole.startsWith(before)) return { prompt: before, whole };
  throw new DataError(
    "the model's chat template renders a conversation anew with each message, so that no turn can be told: " +
      "use another base, or prompts with completions",
  );
}

const spanOf = ({ prompt, whole }: Turn): Span => [prompt.length, whole.length];

/** One text, or where the template changes what was said before (as of thoughts), one for each turn. */
function textsOf(turns: readonly Turn[]): LearntText[] {
  const last = turns.at(-1);
  if (last === undefined) return [];
  const isOne = turns.every(({ whole }) => last.whole.startsWith(whole));
  if (isOne) return [{ text: last.whole, spans: turns.map(spanOf) }];
  return turns.map((turn) => ({ text: turn.whole, spans: [spanOf(turn)] }));
}

async function learntTexts(example: ChatExample, rendering: Rendering): Promise<LearntText[]> {
  const messages = example.messages.map((message) => ({
    role: message.role,
    content: contentOf(message),
  }));
  const turns: Turn[] = [];
  for (const [at, { role, weight }] of example.messages.entries()) {
    if (role !== "assistant" || weight === 0) continue;
    turns.push(await turnOf(messages, at, rendering));
  }
  return textsOf(turns);
}

/** In order. @throws DataError that names the conversation; ChatTemplateError; the signal's reason */
export async function encodeChats(
  examples: readonly ChatExample[],
  reader: TextReader & { readonly chatTemplate: ChatTemplate | null },
  signal: AbortSignal,
): Promise<LearntRow[]> {
  const { id, chatTemplate: template } = reader;
  if (template === null) {
    throw new DataError(
      `${id} has no chat template: use another base, or prompts with completions`,
    );
  }
  const renderer = openChatRenderer({}, () => daySaid);
  const rows: LearntRow[] = [];
  try {
    for (const example of examples) {
      const name = nameOf(example);
      const texts = await learntTexts(example, { renderer, template, signal }).catch((error) => {
        if (!(error instanceof ChatRefused)) throw error;
        throw new DataError(`${name} is refused by the chat template of ${id}: ${error.message}`);
      });
      for (const text of texts) rows.push(await encodeLearnt(text, { reader, name, signal }));
    }
    return rows;
  } finally {
    await renderer.close();
  }
}
