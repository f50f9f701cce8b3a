/**
 * The prompts that ship: each is one to read, to name in a conversation, and a model to call. Written for small models:
 * one plain instruction, and an example or two where the form of the answer matters.
 */
import { impliedVariables, type Prompt, type PromptExample, type PromptMessage } from "./prompt.ts";
import type { VariablesSchema } from "./variables.ts";

/** As Hugging Face names what its clients ask for. */
export const writtenTasks = ["summarization", "translation"] as const;
export type WrittenTask = (typeof writtenTasks)[number];

export type ReadyPrompt = Prompt & {
  readonly id: string;
  readonly name: string;
  /** What it does, as a model. */
  readonly task: WrittenTask | "text-generation";
  /** `temperature`: 0 where there is one answer to be had; absent: the caller's, or 1. */
  readonly parameters: { readonly max_tokens: number; readonly temperature?: 0 };
};

type Draft = Pick<ReadyPrompt, "id" | "name" | "task"> & {
  messages: PromptMessage[];
  maxTokens: number;
  /** Its answers are to differ. */
  varied?: true;
  variables?: VariablesSchema;
  examples?: PromptExample[];
};

function ready(draft: Draft): ReadyPrompt {
  const { messages, maxTokens, varied, variables, examples = [], ...named } = draft;
  return {
    ...named,
    messages,
    variables: variables ?? impliedVariables(messages),
    examples,
    parameters: { max_tokens: maxTokens, ...(varied ? {} : { temperature: 0 }) },
  };
}

/** The variable that a caller's input becomes. */
export const inputVariable = "text";

/** An instruction, and the input as what the user says. */
function instruction(text: string): PromptMessage[] {
  return [
    { role: "system", content: text },
    { role: "user", content: `{{${inputVariable}}}` },
  ];
}

function translation(from: string, to: string): string {
  return (
    `Translate the text of the user from ${from} into ${to}. Answer with the translation alone, without notes and ` +
    "without the original."
  );
}

const anyLanguage = "the language that it is written in";

/** Of each pair a prompt of its own, by the codes of both. */
const languages = {
  en: "English",
  zh: "Chinese",
  fr: "French",
  de: "German",
  es: "Spanish",
  it: "Italian",
  pt: "Portuguese",
  ja: "Japanese",
  ko: "Korean",
  ru: "Russian",
  ar: "Arabic",
} as const;

const others = (Object.keys(languages) as (keyof typeof languages)[]).filter(
  (code) => code !== "en",
);

const pairs = others.flatMap((other) => [["en", other] as const, [other, "en"] as const]);

const translations = pairs.map(([from, to]) =>
  ready({
    id: `translate-${from}-${to}`,
    name: `Translate ${languages[from]} into ${languages[to]}`,
    task: "translation",
    messages: instruction(translation(languages[from], languages[to])),
    maxTokens: 512,
  }),
);

export const readyPrompts: readonly ReadyPrompt[] = [
  ready({
    id: "chat",
    name: "Have a conversation",
    task: "text-generation",
    messages: instruction(
      "You are a helpful assistant. Answer in the language of the user, briefly and to the point. Say so where " +
        "you do not know something.",
    ),
    varied: true,
    maxTokens: 512,
  }),
  ready({
    id: "summarize",
    name: "Summarize a text",
    task: "summarization",
    messages: instruction(
      "Summarize the text of the user in one to three sentences, in the language of the text. Keep names and " +
        "numbers, and add nothing that is not in it. Answer with the summary alone.",
    ),
    maxTokens: 160,
  }),
  ready({
    id: "translate",
    name: "Translate a text",
    task: "translation",
    messages: instruction(translation("{{source_language}}", "{{target_language}}")),
    variables: {
      type: "object",
      properties: {
        text: { type: "string", description: "What is translated." },
        source_language: {
          type: "string",
          description: "Out of which language.",
          default: anyLanguage,
          maxLength: 100,
        },
        target_language: { type: "string", description: "Into which language.", maxLength: 100 },
      },
    },
    maxTokens: 512,
  }),
  ...translations,
  ready({
    id: "code",
    name: "Write code",
    task: "text-generation",
    messages: instruction(
      "You are a programmer. Write the code that the user asks for, complete and correct, in one fenced block; in " +
        "Python, unless the user names another language. After the block say in one sentence how to use it.",
    ),
    maxTokens: 512,
  }),
  ready({
    id: "keywords",
    name: "Find keywords",
    task: "text-generation",
    messages: instruction(
      "List the three to eight most important keywords of the text of the user, as they stand in it, separated by " +
        "commas. Answer with the list alone.",
    ),
    examples: [
      {
        variables: {
          text: "The city council of Leeds approved a new tram line on Monday, after ten years of planning.",
        },
        output: "city council, Leeds, tram line, planning",
      },
    ],
    maxTokens: 64,
  }),
  ready({
    id: "augment",
    name: "Write variations of a training example",
    task: "text-generation",
    messages: instruction(
      "Write {{count}} variations of the text of the user, one a line. Each keeps its meaning and tone, and uses " +
        "other words. Answer with the lines alone, without numbers.",
    ),
    variables: {
      type: "object",
      properties: {
        text: { type: "string", description: "The example." },
        count: { type: "integer", description: "How many.", default: 3, minimum: 1, maximum: 20 },
      },
    },
    examples: [
      {
        variables: { text: "My card was declined at the shop.", count: 3 },
        output:
          "The shop would not accept my card.\nMy card did not go through when I tried to pay in the store.\n" +
          "I tried to pay at the shop and my card got rejected.",
      },
    ],
    varied: true,
    maxTokens: 256,
  }),
];

const byId = new Map(readyPrompts.map((prompt) => [prompt.id, prompt]));

export function readyPrompt(id: string): ReadyPrompt | undefined {
  return byId.get(id);
}
