/**
 * What SmolLM2-135M-Instruct can and cannot do, through the public API by OpenAI's client: calls of declared tools,
 * names found in sentences with a schema and without, and what the prompts that ship make of ten texts.
 * `npm run bench -- small-model tools` does one part (`tools`, `extraction`, `texts`); a number says how many sentences
 * are extracted from. Nothing is left to chance. Classification by prompts: `npm run bench -- prompts`.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import OpenAI from "openai";
import { startStack } from "../infra/local/start-stack.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";
import {
  type EntityLists,
  listsFound,
  listsSchema,
  matchesOf,
  microFigures,
  type TaggedSentence,
  taggedSentences,
} from "./harness/entity-lists.ts";
import {
  declaredTools,
  type ToolQuestion,
  toolQuestions,
  toolSchemas,
} from "./harness/tool-questions.ts";

const model = "SmolLM2-135M-Instruct";
const sentencesFile = "conll2003/valid.jsonl";
const sentencesDefault = 60;
const seed = 0;
/** Answers that are written at a time. */
const streams = 8;
const callTokens = 96;
const listTokens = 192;

class Callers {
  readonly client: OpenAI;
  readonly context: BenchContext;

  constructor(client: OpenAI, context: BenchContext) {
    this.client = client;
    this.context = context;
  }

  async ask(
    body: Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "temperature">,
  ): Promise<OpenAI.ChatCompletion.Choice> {
    const { signal } = this.context;
    const asked = { temperature: 0, ...body };
    const answer = await this.client.chat.completions.create(asked, { signal });
    const [choice] = answer.choices;
    if (choice === undefined) throw new Error("an answer without a choice");
    return choice;
  }

  /** Some at a time; answers in the order of what was asked. */
  async each<T, A>(name: string, items: readonly T[], ask: (item: T) => Promise<A>): Promise<A[]> {
    const answers: A[] = [];
    const waiting = items.entries();
    let done = 0;
    const work = async () => {
      for (const [at, item] of waiting) {
        answers[at] = await ask(item);
        done += 1;
        if (done % 20 === 0) this.context.print(`  ${name}: ${done} of ${items.length}`);
      }
    };
    await Promise.all(Array.from({ length: streams }, work));
    return answers;
  }
}

/** Null where the model called nothing. */
type Called = { name: string; json: string } | null;

const ajv = new Ajv2020();

function isValid({ name, json }: NonNullable<Called>): boolean {
  const schema = toolSchemas.get(name);
  return schema !== undefined && ajv.validate(schema, JSON.parse(json));
}

function plainText(value: unknown): string {
  return String(value).trim().toLowerCase();
}

/** But for capitals and spaces around it. */
function isRight({ json }: NonNullable<Called>, { argument }: ToolQuestion): boolean {
  return Object.values(JSON.parse(json)).some((value) => plainText(value) === plainText(argument));
}

/** Two calls and what came of them, as a conversation goes on from: what the model may take as an example. */
const earlier: OpenAI.ChatCompletionMessageParam[] = [
  ...earlierCall(
    "What is the weather in Berlin?",
    ["get_weather", { city: "Berlin" }],
    "12 °C, rain",
  ),
  { role: "assistant", content: "It rains in Berlin, at 12 °C." },
  ...earlierCall("Set a timer for 30 minutes.", ["set_timer", { minutes: 30 }], "started"),
  { role: "assistant", content: "The timer rings in 30 minutes." },
];

function earlierCall(
  content: string,
  [name, given]: readonly [string, object],
  result: string,
): OpenAI.ChatCompletionMessageParam[] {
  const id = `call_${name}`;
  const call = { name, arguments: JSON.stringify(given) };
  return [
    { role: "user", content },
    { role: "assistant", content: null, tool_calls: [{ id, type: "function", function: call }] },
    { role: "tool", tool_call_id: id, content: result },
  ];
}

type ToolMode = {
  name: string;
  choice: "auto" | "required";
  before: readonly OpenAI.ChatCompletionMessageParam[];
};

const toolModes: readonly ToolMode[] = [
  { name: "tools, auto", choice: "auto", before: [] },
  { name: "tools, required", choice: "required", before: [] },
  { name: "tools, auto, after two calls", choice: "auto", before: earlier },
  { name: "tools, required, after two calls", choice: "required", before: earlier },
];

async function callOf(callers: Callers, question: string, mode: ToolMode): Promise<Called> {
  const { message } = await callers.ask({
    model,
    messages: [...mode.before, { role: "user", content: question }],
    tools: declaredTools,
    tool_choice: mode.choice,
    parallel_tool_calls: false,
    max_tokens: callTokens,
  });
  const [call] = message.tool_calls ?? [];
  if (call?.type === "function") return { name: call.function.name, json: call.function.arguments };
  if (sampled(question))
    callers.context.print(`  ${question} → ${JSON.stringify(message.content)}`);
  return null;
}

/** A few of each tool, for people to read what was said in place of a call. */
function sampled(question: string): boolean {
  return toolQuestions.findIndex((each) => each.question === question) % 10 === 0;
}

async function tools(callers: Callers): Promise<Row[]> {
  const rows: Row[] = [];
  for (const mode of toolModes) rows.push(...(await toolRows(callers, mode)));
  return rows;
}

async function toolRows(callers: Callers, mode: ToolMode): Promise<Row[]> {
  const wanted = toolQuestions.filter(({ tool }) => tool !== null);
  const ask = ({ question }: ToolQuestion) => callOf(callers, question, mode);
  const called = await callers.each(mode.name, wanted, ask);
  const judged = wanted.flatMap((question, at) => {
    const call = called[at] ?? null;
    if (call === null) return [];
    const right = call.name === question.tool;
    return [{ valid: isValid(call), right, whole: right && isRight(call, question) }];
  });
  for (const name of toolSchemas.keys()) {
    const count = called.filter((call) => call?.name === name).length;
    callers.context.print(`  ${mode.name}: ${name} called ${count} times`);
  }
  const row = (what: string, count: number, of: number) =>
    plainRow(`${mode.name}: ${what}`, "%", (100 * count) / of);
  const count = judged.length;
  const rows = [row(`calls, of ${wanted.length} questions for a tool`, count, wanted.length)];
  if (count > 0)
    rows.push(row(`of ${count} calls valid`, judged.filter(({ valid }) => valid).length, count));
  rows.push(
    row("the right tool", judged.filter(({ right }) => right).length, wanted.length),
    row("and its argument", judged.filter(({ whole }) => whole).length, wanted.length),
  );
  if (mode.choice === "required") return rows;
  const needless = toolQuestions.filter(({ tool }) => tool === null);
  const others = await callers.each(`${mode.name}, none needed`, needless, ask);
  const calls = others.filter((call) => call !== null).length;
  return [...rows, row(`calls, of ${needless.length} questions for none`, calls, needless.length)];
}

const instruction =
  "List the persons, organisations and locations that the sentence of the user names, each as it stands in the " +
  'sentence. Answer with JSON: {"persons": [...], "organisations": [...], "locations": [...]}. A list may be empty.';

/** Turns that show how it is done; made up, so that nothing of the data is given away. */
const shown: OpenAI.ChatCompletionMessageParam[] = [
  { role: "user", content: "Anna Keller of Nordbank flew from Geneva to Lima on Monday ." },
  {
    role: "assistant",
    content:
      '{"persons": ["Anna Keller"], "organisations": ["Nordbank"], "locations": ["Geneva", "Lima"]}',
  },
  { role: "user", content: "Prices rose by 3 percent , the highest since May ." },
  { role: "assistant", content: '{"persons": [], "organisations": [], "locations": []}' },
];

const held = {
  type: "json_schema",
  json_schema: { name: "names", strict: true, schema: listsSchema },
} as const;

async function extraction(callers: Callers): Promise<Row[]> {
  const count = Number(callers.context.args.find((arg) => /^\d+$/.test(arg)) ?? sentencesDefault);
  const sentences = taggedSentences(sentencesFile, count, seed);
  const rows: Row[] = [];
  for (const examples of [[], shown]) {
    for (const response_format of [undefined, held]) {
      const schema = response_format === undefined ? "no schema" : "schema";
      const name = `extraction, ${examples.length / 2} examples, ${schema}`;
      const ask = async ({ text }: TaggedSentence): Promise<EntityLists | null> => {
        const { message } = await callers.ask({
          model,
          messages: [
            { role: "system", content: instruction },
            ...examples,
            { role: "user", content: text },
          ],
          max_tokens: listTokens,
          ...(response_format && { response_format }),
        });
        return listsFound(message.content ?? "");
      };
      const found = await callers.each(name, sentences, ask);
      const parsed = found.filter((lists) => lists !== null).length;
      const figures = microFigures(
        sentences.map(({ lists }, at) => matchesOf(lists, found[at] ?? null)),
      );
      rows.push(
        plainRow(`${name}: parses, of ${sentences.length}`, "%", (100 * parsed) / sentences.length),
        ...Object.entries(figures).map(([figure, value]) =>
          plainRow(`${name}: ${figure}`, "%", 100 * value),
        ),
      );
    }
  }
  return rows;
}

const texts: Readonly<Record<string, readonly string[]>> = {
  summarize: [
    "The council met on Monday. After ten years of planning it approved the new tram line, which will cost " +
      "240 million euros.",
    "The museum reopened on Friday after two years of repairs. Visitors queued around the block, and all " +
      "3,000 tickets were sold by noon.",
    "Scientists found a frog in Peru that was thought to be extinct. They counted twelve of them in one valley " +
      "and asked the state to protect it.",
    "The firm lost 40 million dollars last year. Its head, Maria Lopez, said that two of its five factories will " +
      "close and 900 people will lose their jobs.",
    "The storm reached the coast at night. Trees fell on roads and rails, and 20,000 homes had no power until " +
      "the morning. Nobody was hurt.",
  ],
  "translate-en-fr": [
    "Good morning.",
    "The cat sleeps on the chair.",
    "Where is the train station?",
    "I bought bread and milk this morning.",
    "The council approved the new tram line after ten years of planning.",
  ],
};

/** Whether some three words in a row come three times or more. */
function repeatsItself(text: string): boolean {
  const words = text.toLowerCase().split(/\s+/);
  const counts = new Map<string, number>();
  for (let at = 0; at + 3 <= words.length; at += 1) {
    const three = words.slice(at, at + 3).join(" ");
    counts.set(three, (counts.get(three) ?? 0) + 1);
  }
  return [...counts.values()].some((count) => count >= 3);
}

/** Prints what was written: that is for people to judge. */
async function promptsThatShip(callers: Callers): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [prompt, inputs] of Object.entries(texts)) {
    const choices = await callers.each(prompt, inputs, (content) =>
      callers.ask({ model: prompt, messages: [{ role: "user", content }] }),
    );
    const written = choices.map(({ message }) => message.content ?? "");
    for (const [at, input] of inputs.entries()) {
      callers.context.print(`  ${prompt}: ${input}\n    → ${JSON.stringify(written[at])}`);
    }
    const cut = choices.filter(({ finish_reason: end }) => end === "length").length;
    const repeating = written.filter(repeatsItself).length;
    rows.push(
      plainRow(`${prompt}: repeats itself, of ${inputs.length}`, "texts", repeating),
      plainRow(`${prompt}: has no end of its own`, "texts", cut),
    );
  }
  return rows;
}

const parts = { tools, extraction, texts: promptsThatShip };

async function run(context: BenchContext): Promise<Row[]> {
  const chosen = Object.entries(parts).filter(([name]) => context.args.includes(name));
  const models = path.join(sharedFolder, "models");
  for (const needed of [path.join(sharedFolder, "data"), path.join(models, model)])
    if (!existsSync(needed)) throw new Error(`it is not here: ${needed}`);
  const stack = await startStack({ env: { LLM_OS_MODELS: models } });
  try {
    const client = new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1` });
    const callers = new Callers(client, context);
    const rows: Row[] = [];
    for (const [name, part] of chosen.length === 0 ? Object.entries(parts) : chosen) {
      const startedAt = performance.now();
      rows.push(...(await part(callers)));
      rows.push(plainRow(`${name}, in all`, "s", (performance.now() - startedAt) / 1_000));
    }
    return rows;
  } finally {
    await stack.stop();
  }
}

export const bench: Bench = {
  summary: "what a model of 135M can do: tools, extraction, texts; minutes each",
  run,
};
