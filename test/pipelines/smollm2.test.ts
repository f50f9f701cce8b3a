/** SmolLM2-135M-Instruct from its folder to its answers, against what transformers makes of the same weights. */
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Piece } from "../../contract/events.ts";
import type { TaskInput, TaskParameters } from "../../contract/tasks.ts";
import type { LoadedModel } from "../../gpu-worker/catalog/loaded-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { scriptedEngine } from "./scripted-engine.ts";

const id = "SmolLM2-135M-Instruct";
const models = path.resolve(import.meta.dirname, "../../../shared/models");
const here = existsSync(path.join(models, id));
if (!here) console.info("Skipped: SmolLM2 in ../shared/models, which is not on this machine");

type Chat = {
  messages: TaskInput<"chat-completion">["messages"];
  prompt: string;
  input_ids: number[];
  /** Of the prompt's tokens but the first. */
  next_token_logprobs: number[];
  greedy_ids: number[];
  greedy_text: string;
};
const chats: Chat[] = here
  ? JSON.parse(readFileSync(path.join(models, "references/smollm2-logits.json"), "utf8"))
  : [];

let bench: CatalogBench;
let model: LoadedModel;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
const { signal } = new AbortController();
const greedy = { temperature: 0, max_tokens: 48 } as const;

async function chat(
  messages: Chat["messages"],
  parameters: TaskParameters<"chat-completion">,
  pieces: Piece[] = [],
) {
  const request = { task: "chat-completion" as const, inputs: [{ messages }], parameters };
  const onPieces = (_: unknown, more: readonly Piece[]) => void pieces.push(...more);
  const { outputs, usage } = await runner.run(chatCompletion, request, model, { signal, onPieces });
  return { choices: outputs[0]?.choices ?? [], usage };
}

/** As an engine is given it. */
async function promptOf(messages: Chat["messages"]): Promise<readonly number[] | undefined> {
  const engine = scriptedEngine(() => 2);
  const openEngine = () => engine;
  const reader = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0, openEngine });
  const request = { task: "chat-completion" as const, inputs: [{ messages }], parameters: {} };
  await reader.run(chatCompletion, request, model, { signal });
  await reader.close();
  return engine.requests[0]?.prompt;
}

describe.skipIf(!here)("SmolLM2 in a folder of the operator's", () => {
  beforeAll(async () => {
    bench = await openCatalogBench();
    symlinkSync(path.join(models, id), bench.local(id));
    model = await (await bench.open()).acquire(id, signal);
  });

  afterAll(async () => {
    await runner.close();
    await bench?.close();
  });

  it("is a decoder with its own limits, end tokens and tasks", () => {
    const decoder = decoderFor("text-generation", model);
    expect(decoder).toMatchObject({
      id,
      tasks: ["text-generation", "chat-completion"],
      limits: { maxTokens: 8_192, dimensions: null, vocabularySize: 49_152 },
      keyValues: { layers: 30, heads: 3, width: 64 },
    });
    expect([...decoder.endTokens]).toEqual([2]);
    expect(model.bytes).toBeGreaterThan(4 * 134_000_000 + 8_192 * 46_080);
  });

  it.each(chats.map((each, at) => [at, each] as const))(
    "answers chat %d with the tokens of transformers, and tells them as they come",
    async (_, { messages, input_ids: ids, greedy_ids: tokens, greedy_text: text }) => {
      const pieces: Piece[] = [];
      const { choices, usage } = await chat(messages, { ...greedy, top_logprobs: 1 }, pieces);
      expect(await promptOf(messages)).toEqual(ids);
      const [choice] = choices;
      expect(choice?.logprobs?.map((each) => each.id)).toEqual(tokens);
      expect(choice?.text).toBe(text);
      const ended = tokens.at(-1) === 2;
      expect(choice?.finish_reason).toBe(ended ? "end_token" : "length");
      expect(usage).toEqual({ promptTokens: ids.length, completionTokens: tokens.length });
      expect(pieces.map((piece) => piece.text).join("")).toBe(text);
      expect(pieces.map(({ from }) => from)).toEqual([...tokens.keys()]);
      let units = 0;
      for (const piece of pieces) {
        expect(piece.textFrom).toBe(units);
        units += piece.text.length;
      }
      expect(pieces.at(-1)?.finishReason).toBe(choice?.finish_reason);
      expect(pieces.flatMap(({ logprobs }) => logprobs ?? [])).toEqual(choice?.logprobs);
    },
  );

  it("tells an echoed prompt's log probabilities as PyTorch gives them, also where nothing is written", async () => {
    const [first] = chats;
    if (first === undefined) throw new Error("there are four");
    const parameters = { temperature: 0, max_tokens: 1, echo: true, top_logprobs: 0 };
    const request = { task: "text-generation" as const, inputs: [first.prompt], parameters };
    const { outputs } = await runner.run(textGeneration, request, model, { signal });
    const [choice] = outputs[0]?.choices ?? [];
    expect(choice?.text).toBe(`${first.prompt}The`);
    const told = choice?.logprobs ?? [];
    expect(told.slice(0, -1).map((each) => each.id)).toEqual(first.input_ids);
    expect(told[0]?.logprob).toBeNull();
    const logprobs = told.slice(1, -1).map(({ logprob }) => logprob ?? NaN);
    for (const [at, expected] of first.next_token_logprobs.entries()) {
      expect(logprobs[at]).toBeCloseTo(expected, 3);
    }
    expect(told.map(({ text }) => text).join("")).toBe(`${first.prompt}The`);
    const unwritten = { ...request, parameters: { ...parameters, max_tokens: 0 } };
    const alone = await runner.run(textGeneration, unwritten, model, { signal });
    expect(alone.outputs[0]?.choices).toEqual([
      { text: first.prompt, finish_reason: "length", tokens: 0, logprobs: told.slice(0, -1) },
    ]);
    expect(alone.usage.completionTokens).toBe(0);
  });

  it("ends before a stop string that lies across tokens", async () => {
    const { choices } = await chat(chats[0]?.messages ?? [], { ...greedy, stop: ["ance is P"] });
    expect(choices).toMatchObject([{ text: "The capital of Fr", finish_reason: "stop_sequence" }]);
  });

  it.each(["required", "auto"] as const)(
    "calls a tool that its template knows nothing of, or says something: %s",
    async (choice) => {
      const schema =
        '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}';
      const weather = { name: "weather", description: "Tells it.", parameters: schema };
      const asked = { ...greedy, tools: [weather, { name: "now" }], tool_choice: choice };
      const messages = [{ role: "user" as const, content: "How warm is it in Paris?" }];
      const [made] = (await chat(messages, asked)).choices;
      if (choice === "required") expect(made?.tool_calls?.length).toBeGreaterThan(0);
      for (const { name, arguments: given } of made?.tool_calls ?? []) {
        const city = name === "weather" ? { city: expect.any(String) } : {};
        expect(JSON.parse(given)).toEqual(city);
      }
      expect(made?.text).not.toMatch(/<\/?tool_call>/);
    },
  );

  it("draws other choices with other indices, the same again with the same seed", async () => {
    const parameters = { n: 3, max_tokens: 8, seed: 11 };
    const { messages = [] } = chats[2] ?? {};
    const [once, again] = [await chat(messages, parameters), await chat(messages, parameters)];
    expect(again.choices).toEqual(once.choices);
    expect(new Set(once.choices.map(({ text }) => text)).size).toBe(3);
    expect(once.usage.promptTokens).toBe(chats[2]?.input_ids.length);
  });
});
