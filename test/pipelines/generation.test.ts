/** What the two generating tasks make of tokens that a script gives: texts, ends, log probabilities, refusals. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Piece } from "../../contract/events.ts";
import type { TaskInput, TaskParameters } from "../../contract/tasks.ts";
import { cpuBatchPolicy, type RunOptions, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { filesOfGguf } from "../../gpu-worker/tokenizer/gguf-vocabulary.ts";
import { makeTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { madeUpDecoder } from "../jobs/random-model.ts";
import { type Script, scriptedEngine } from "./scripted-engine.ts";

type Written = Parameters<typeof filesOfGguf>[0] & { "ggml.token_type": number[] };
const made: { cases: Record<string, { metadata: Written & { "ggml.scores"?: number[] } }> } =
  JSON.parse(
    readFileSync(
      path.resolve(import.meta.dirname, "../tokenizer/made/gguf/vocabularies.json"),
      "utf8",
    ),
  );

async function tokenizerOf(name: string) {
  const metadata = made.cases[name]?.metadata;
  if (metadata === undefined) throw new Error(`${name} is not made`);
  const scores = metadata["ggml.scores"];
  return makeTokenizer(
    await filesOfGguf({
      ...metadata,
      "ggml.scores": scores && Float32Array.from(scores),
      "ggml.token_type": Int32Array.from(metadata["ggml.token_type"]),
    }),
  );
}

const byteLevel = await tokenizerOf("smollm");
const sentencePiece = await tokenizerOf("llama");
const endToken = byteLevel.idOfToken("<|im_end|>") ?? -1;

/** @param maxTokens prompt and answer together */
function modelWith(tokenizer = byteLevel, maxTokens = 64): DecoderModel {
  const limits = { maxTokens, dimensions: null, vocabularySize: tokenizer.vocabularySize };
  return { ...madeUpDecoder(tokenizer), limits, endTokens: new Set([endToken]) };
}

const idsOf = async (text: string, tokenizer = byteLevel) =>
  (await tokenizer.encode([text]))[0]?.ids ?? [];

/** Each choice writes these, then ends. */
const writes =
  (...ids: number[]): Script =>
  (_, __, position) =>
    ids[position] ?? endToken;

const runners: TaskRunner[] = [];
afterAll(() => Promise.all(runners.map((runner) => runner.close())));

type Options = Partial<RunOptions> & { model?: DecoderModel; cachedTokens?: number };

function runnerOf(script: Script, cachedTokens = 0) {
  const engine = scriptedEngine(script, cachedTokens);
  const openEngine = () => engine;
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0, openEngine });
  runners.push(runner);
  return { runner, engine };
}

async function write(
  script: Script,
  inputs: TaskInput<"text-generation">[],
  parameters: TaskParameters<"text-generation"> = {},
  { model = modelWith(), cachedTokens = 0, ...options }: Options = {},
) {
  const { runner, engine } = runnerOf(script, cachedTokens);
  const request = { task: "text-generation" as const, inputs, parameters };
  const { signal } = new AbortController();
  const answer = await runner.run(textGeneration, request, model, { signal, ...options });
  const choices = answer.outputs.map((output) => output.choices);
  return { ...answer, choices, requests: engine.requests };
}

async function seeds(jobId: string, parameters = {}): Promise<number[]> {
  const { requests } = await write(writes(), ["a", "a"], parameters, { jobId });
  return requests.map(({ sampling }) => sampling.seed);
}

describe("a text gone on with", () => {
  it("ends with an end token, which is counted and not shown", async () => {
    const hello = await idsOf("hello world");
    const { choices, usage } = await write(writes(...hello), ["abc"], {}, { cachedTokens: 1 });
    const tokens = hello.length + 1;
    expect(choices).toEqual([
      [{ text: "hello world", finish_reason: "end_token", tokens, logprobs: null }],
    ]);
    const promptTokens = (await idsOf("abc")).length;
    expect(usage).toEqual({ promptTokens, completionTokens: tokens, cachedTokens: 1 });
  });

  it("ends with its length", async () => {
    const ids = await idsOf("hello");
    const { choices } = await write(writes(...ids), ["a"], { max_tokens: ids.length });
    expect(choices).toMatchObject([
      [{ text: "hello", finish_reason: "length", tokens: ids.length }],
    ]);
  });

  it.each([
    [{}, false],
    [{ temperature: 0.5 }, false],
    [{ temperature: 0 }, true],
    [{ seed: 3 }, true],
  ])(
    "is asked of the engine as one that repeats, or as one that need not: %j",
    async (asked, repeatable) => {
      const { requests } = await write(writes(), ["a"], asked);
      expect(requests.map((request) => request.repeatable)).toEqual([repeatable]);
    },
  );

  it("counts what the model was not asked for, and is cut where it was closed for its length", async () => {
    const ids = await idsOf("hello world");
    const forced = true as const;
    const script: Script = (_, choice, position) => {
      const token = ids[position];
      if (token !== undefined) return position === 0 ? token : { token, forced };
      return choice === 0
        ? { token: endToken, forced }
        : { token: endToken, forced, closing: true };
    };
    const { choices, usage } = await write(script, ["abc"], { n: 2 });
    const tokens = ids.length + 1;
    expect(choices[0]).toMatchObject([
      { text: "hello world", finish_reason: "end_token", tokens },
      { text: "hello world", finish_reason: "length", tokens },
    ]);
    expect(usage).toMatchObject({ completionTokens: 2 * tokens, forcedTokens: 2 * (tokens - 1) });
    expect((await write(writes(), ["a"])).usage).not.toHaveProperty("forcedTokens");
  });

  it("shows characters when they are whole, and what is left of one at the end as such", async () => {
    const ids = await idsOf("a😀");
    expect(ids.length).toBeGreaterThan(2);
    const pieces: Piece[] = [];
    const onPieces = (_: unknown, more: readonly Piece[]) => void pieces.push(...more);
    const whole = await write(writes(...ids), ["x"], {}, { onPieces });
    expect(whole.choices[0]?.[0]?.text).toBe("a😀");
    expect(pieces.map(({ text }) => text).filter((text) => text !== "")).toEqual(["a", "😀"]);
    const cut = await write(writes(...ids.slice(0, -1)), ["x"]);
    expect(cut.choices[0]?.[0]?.text).toMatch(/^a\ufffd+$/);
  });

  it("goes on after a space where SentencePiece would drop it", async () => {
    const model = { ...modelWith(sentencePiece), endTokens: new Set([2]) };
    const [before, after] = [
      await idsOf("hello", sentencePiece),
      await idsOf("hello world", sentencePiece),
    ];
    const rest = after.slice(before.length);
    const script: Script = (_, __, position) => rest[position] ?? 2;
    const { choices, requests } = await write(script, ["hello"], { echo: true }, { model });
    expect(choices[0]?.[0]?.text).toBe("hello world");
    // As transformers reads a text: the tokenizer puts its own first token before it.
    expect(requests[0]?.prompt).toEqual([1, ...before]);
  });

  it.each([
    { stop: ["lo wo"], text: "hel" },
    { stop: ["zzz", " world"], text: "hello" },
    { stop: ["h"], text: "" },
    { stop: ["worlds"], text: "hello world" },
  ])("ends before the stop string of $stop", async ({ stop, text }) => {
    const ids = await idsOf("hello world");
    const { choices } = await write(writes(...ids), ["x"], { stop });
    const reason = text === "hello world" ? "end_token" : "stop_sequence";
    expect(choices).toMatchObject([[{ text, finish_reason: reason }]]);
  });

  it("begins with its prompt where that is wanted, as it was given", async () => {
    const pieces: Piece[] = [];
    const onPieces = (_: unknown, more: readonly Piece[]) => void pieces.push(...more);
    const inputs = ["abc ", await idsOf("xyz")];
    const ids = await idsOf("ok");
    const parameters = { echo: true, top_logprobs: 1, n: 2 };
    const { choices } = await write(writes(...ids), inputs, parameters, { onPieces });
    for (const [input, prompt] of ["abc ", "xyz"].entries()) {
      for (const choice of choices[input] ?? []) {
        expect(choice.text).toBe(`${prompt}ok`);
        const [first, second] = choice.logprobs ?? [];
        expect(first).toMatchObject({ logprob: null, top: [] });
        expect(second).toMatchObject({ logprob: -0.5 });
        expect(choice.logprobs?.map((each) => each.text).join("")).toBe(`${prompt}ok<|im_end|>`);
      }
      const own = pieces.filter((piece) => piece.input === input && piece.choice === 1);
      expect(own.map(({ text }) => text).join("")).toBe(`${prompt}ok`);
      expect(own[0]).toMatchObject({ from: 0, tokens: 1, textFrom: 0 });
    }
  });

  it("is its prompt alone where no token is asked for", async () => {
    const pieces: Piece[] = [];
    const onPieces = (_: unknown, more: readonly Piece[]) => void pieces.push(...more);
    const parameters = { echo: true, top_logprobs: 0, n: 2, max_tokens: 0 };
    const { choices, usage } = await write(writes(5), ["abc "], parameters, { onPieces });
    expect([choices[0]?.length, pieces.length, usage.completionTokens]).toEqual([2, 2, 0]);
    for (const choice of [...(choices[0] ?? []), ...pieces]) {
      expect(choice).toMatchObject({ text: "abc ", tokens: 0 });
      expect(choice.logprobs?.map(({ text }) => text).join("")).toBe("abc ");
    }
  });

  it("tells each token's text, bytes where it is a part of a character, and alternatives", async () => {
    const ids = await idsOf("😀");
    const { choices } = await write(writes(...ids), ["x"], { top_logprobs: 2 });
    const told = choices[0]?.[0]?.logprobs ?? [];
    const bytes = told.slice(0, -1).flatMap((each) => each.bytes ?? []);
    expect(bytes).toEqual([0xf0, 0x9f, 0x98, 0x80]);
    expect(told[0]).toMatchObject({ id: ids[0], text: "\ufffd", logprob: -0.5 });
    expect(told[0]?.top.map(({ id, logprob }) => [id, logprob])).toEqual([
      [ids[0], -0.5],
      [(ids[0] ?? 0) + 1, -1.5],
    ]);
    expect(told.at(-1)).toMatchObject({ id: endToken, text: "<|im_end|>", special: true });
    expect(told.at(-1)).not.toHaveProperty("bytes");
  });

  it("draws with a seed of the job's own, the same for a second worker", async () => {
    const first = await seeds("job_0_a");
    expect(await seeds("job_0_a")).toEqual(first);
    expect(new Set([...first, ...(await seeds("job_0_b"))]).size).toBe(4);
    expect(first.every(Number.isSafeInteger)).toBe(true);
    expect(await seeds("job_0_a", { seed: -7 })).toEqual([-7, -7]);
  });

  it("asks for what the request says, and defaults", async () => {
    const { requests } = await write(writes(), ["a"]);
    expect(requests[0]).toMatchObject({
      choices: 1,
      maxTokens: 63,
      promptLogprobs: false,
      sampling: { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 },
    });
    const roomy = await write(writes(), ["a"], {}, { model: modelWith(byteLevel, 4_096) });
    expect(roomy.requests[0]?.maxTokens).toBe(512);
  });
});

describe("what a decoder cannot do is refused by name", () => {
  const limit = 64;
  it.each<{
    what: string;
    inputs: TaskInput<"text-generation">[];
    parameters?: TaskParameters<"text-generation">;
    error: { code: string; param: string; message?: RegExp };
  }>([
    {
      what: "a prompt longer than the model",
      inputs: ["a", "!".repeat(100)],
      error: { code: "context_length_exceeded", param: "inputs[1]", message: /100 tokens.*64/ },
    },
    {
      what: "a prompt of a megabyte",
      inputs: ["!".repeat(1_000_000)],
      error: { code: "context_length_exceeded", param: "inputs[0]", message: /more than .*64/ },
    },
    {
      what: "more tokens than are left",
      inputs: ["!!!!"],
      parameters: { max_tokens: 61 },
      error: {
        code: "context_length_exceeded",
        param: "max_tokens",
        message: /4 tokens and max_tokens is 61, 65 in all.*at most 64.*max_tokens to 60/,
      },
    },
    {
      what: "an id that the model has not",
      inputs: [[1, 605]],
      error: { code: "invalid_value", param: "inputs[0][1]", message: /605.*604/ },
    },
    {
      what: "a bias of an id that the model has not",
      inputs: ["a"],
      parameters: { logit_bias: { "3": 1, "605": 1 } },
      error: { code: "invalid_value", param: "logit_bias", message: /605.*604/ },
    },
    {
      what: "nothing at all, without a first token",
      inputs: ["a", ""],
      error: { code: "invalid_value", param: "inputs[1]", message: /no token/ },
    },
    {
      what: "as many choices of as many prompts as the schema takes",
      inputs: Array.from({ length: 2_048 }, () => "a"),
      parameters: { n: 8, max_tokens: 60 },
      error: { code: "context_length_exceeded", param: "inputs", message: /300000 tokens/ },
    },
  ])("$what", async ({ inputs, parameters, error: { code, param, message = /./ } }) => {
    const { runner, engine } = runnerOf(writes());
    const request = { task: "text-generation" as const, inputs, parameters: parameters ?? {} };
    const { signal } = new AbortController();
    const asked = runner.run(textGeneration, request, modelWith(byteLevel, limit), { signal });
    const refused = { code, param, message: expect.stringMatching(message) };
    await expect(asked).rejects.toMatchObject(refused);
    expect(engine.requests).toEqual([]);
  });

  it("more log probabilities than a result may hold", async () => {
    const model = modelWith(byteLevel, 8_192);
    const parameters = { n: 8, max_tokens: 8_000, top_logprobs: 20 };
    await expect(write(writes(), ["a"], parameters, { model })).rejects.toMatchObject({
      code: "invalid_value",
      param: "top_logprobs",
    });
  });

  it("nothing at all is a text where the model has a first token", async () => {
    const { requests } = await write(writes(), [""], {}, { model: modelWith(sentencePiece) });
    expect(requests[0]?.prompt).toEqual([1]);
  });
});

describe("a computation that ends early", () => {
  it("is left at once, with what it had read and made", async () => {
    const leaving = new AbortController();
    const counted = { run: 0, generated: 0 };
    const script: Script = (_, __, position) => {
      if (position === 5) leaving.abort(new Error("left"));
      return 3;
    };
    const asked = write(
      script,
      ["!!"],
      { n: 2 },
      {
        signal: leaving.signal,
        onRun: (tokens) => void (counted.run += tokens),
        onGenerated: (tokens) => void (counted.generated += tokens),
      },
    );
    await expect(asked).rejects.toThrow("left");
    expect(counted).toEqual({ run: 2, generated: 12 });
  });

  it("has its other prompts end with their next token where one fails", async () => {
    let failed = 0;
    let after = 0;
    const script: Script = ({ prompt }, _, position) => {
      if (prompt.length === 2 && position === 3) {
        failed = 1;
        throw new Error("broken");
      }
      after += failed;
      return 3;
    };
    await expect(write(script, ["!", "!!", "!"])).rejects.toThrow("broken");
    expect(after).toBeLessThanOrEqual(2);
  });
});

async function chat(messages: TaskInput<"chat-completion">["messages"], template: string) {
  const { runner, engine } = runnerOf(writes(...(await idsOf("ok"))));
  const chatTemplate = { template, bosToken: "<|endoftext|>", eosToken: "<|im_end|>" };
  const model = { ...modelWith(), chatTemplate };
  const request = { task: "chat-completion" as const, inputs: [{ messages }], parameters: {} };
  const { signal } = new AbortController();
  const { outputs } = await runner.run(chatCompletion, request, model, { signal });
  return { text: outputs[0]?.choices[0]?.text, prompt: engine.requests[0]?.prompt };
}

describe("a conversation", () => {
  const plain = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";

  it("becomes the prompt of its template, with the special tokens of that alone", async () => {
    const content = [{ text: "a" }, { text: "b" }];
    const { text, prompt } = await chat([{ role: "user", content }], plain);
    expect(text).toBe("ok");
    expect(prompt).toEqual([byteLevel.idOfToken("<|endoftext|>"), ...(await idsOf("a\nb"))]);
  });

  it("is refused in the template's own words", async () => {
    const template = "{{ raise_exception('roles must alternate') }}";
    await expect(chat([{ role: "user", content: "a" }], template)).rejects.toMatchObject({
      code: "invalid_value",
      param: "messages",
      message: expect.stringMatching(/roles must alternate/),
    });
  });

  it("is refused where its template fails, and no process is lost for the next", async () => {
    const endless =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    await expect(chat([{ role: "user", content: "a" }], endless)).rejects.toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(/took more than/),
    });
    expect((await chat([{ role: "user", content: "a" }], plain)).text).toBe("ok");
  });
});
