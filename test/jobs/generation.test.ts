/** Jobs that have a model write, from their message to what the edge is told of them. */
import { afterEach, describe, expect, it } from "vitest";
import type { TokensEvent } from "../../contract/events.ts";
import type { JobMessage, JobMessageOf } from "../../contract/job-message.ts";
import type { Usage } from "../../contract/result-document.ts";
import { Generation } from "../../contract/tasks/generation.ts";
import { whenAborted } from "../../gpu-worker/event-loop/when-aborted.ts";
import type { GenerationEngine } from "../../gpu-worker/jobs/generations.ts";
import type { AnnouncedModels } from "../../gpu-worker/jobs/worker.ts";
import { parseResultDocument } from "../contract/parse-result-document.ts";
import { type Script, scriptedEngine } from "../pipelines/scripted-engine.ts";
import { randomEngine, randomModels } from "./random-model.ts";
import { noopMessage, Rig } from "./rig.ts";

const { decoder } = await randomModels();
const models: AnnouncedModels = {
  lease: () => Promise.resolve({ model: decoder, release: () => undefined }),
  states: () => [],
  onChange: () => {},
};

let rig: Rig;
afterEach(() => rig.stop());

function messageOf(changes: Partial<JobMessageOf<"text-generation">> = {}): JobMessage {
  const { task: _, parameters: __, inputs: ___, ...envelope } = noopMessage();
  return {
    ...envelope,
    model: "decoder",
    task: "text-generation",
    parameters: { max_tokens: 12 },
    inputs: ["a storm near Paris"],
    ...changes,
  };
}

/** How a job ended. */
async function endOf({ id }: JobMessage) {
  const isEnd = (event: { jobId: string; type: string }) =>
    event.jobId === id && ["succeeded", "failed", "cancelled"].includes(event.type);
  await rig.edge.until(() => rig.edge.events.some(isEnd));
  return rig.edge.events.find(isEnd);
}

async function outputsOf(message: JobMessage): Promise<Generation[]> {
  const end = await endOf(message);
  if (end?.type !== "succeeded" || typeof end.result !== "string") throw new Error("no result");
  return parseResultDocument(end.result).outputs.map((output) => Generation.parse(output));
}

const tokensOf = (id: string) =>
  rig.edge.events.filter((event): event is TokensEvent => {
    return event.type === "tokens" && event.jobId === id;
  });

describe("a job whose message asks for a stream", () => {
  it("has its pieces told in order, without gaps, and then all of it", async () => {
    rig = await Rig.start();
    rig.addWorker(models, "worker", { openEngine: randomEngine });
    const parameters = { max_tokens: 40, n: 3, top_logprobs: 2 };
    const message = messageOf({ stream: true, parameters, inputs: ["a storm", "the flood"] });
    rig.send(message);
    const outputs = await outputsOf(message);
    const events = tokensOf(message.id);
    expect(events.length).toBeGreaterThan(1);
    const { model, modelDigest, requestKey, tenant } = events[0] ?? {};
    expect({ model, modelDigest }).toEqual({ model: "decoder", modelDigest: decoder.digest });
    expect({ requestKey, tenant }).toEqual({ requestKey: null, tenant: "operator" });
    const sequences = events.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => a - b));
    const pieces = events.flatMap((event) => event.pieces);
    for (const [input, { choices }] of outputs.entries()) {
      for (const [choice, { text, tokens, logprobs, finish_reason: reason }] of choices.entries()) {
        const own = pieces.filter((piece) => piece.input === input && piece.choice === choice);
        // The result repeats what may not have been told before it.
        expect(text.startsWith(own.map((piece) => piece.text).join(""))).toBe(true);
        expect(own.map(({ from }) => from)).toEqual([...own.keys()]);
        expect(logprobs).toHaveLength(tokens);
        if (own.length === tokens) expect(own.at(-1)?.finishReason).toBe(reason);
      }
    }
  });

  it("has nothing told before its result where it asks for none", async () => {
    rig = await Rig.start();
    rig.addWorker(models, "worker", { openEngine: randomEngine });
    const message = messageOf();
    rig.send(message);
    const [output] = await outputsOf(message);
    expect(output?.choices[0]?.tokens).toBe(12);
    expect(tokensOf(message.id)).toEqual([]);
  });
});

describe("a job that another worker takes over", () => {
  it("draws the same tokens, and another job others", async () => {
    rig = await Rig.start();
    const parameters = { max_tokens: 30, n: 2 };
    const first = messageOf({ parameters });
    const again = { ...first };
    const other = messageOf({ parameters });
    const seeds: number[] = [];
    const openEngine = (): GenerationEngine => {
      const engine = scriptedEngine(endless);
      return {
        ...engine,
        generate(request, handlers) {
          seeds.push(request.sampling.seed);
          return engine.generate(request, handlers);
        },
      };
    };
    rig.addWorker(models, "worker", { openEngine });
    for (const message of [first, other]) {
      rig.send(message);
      await endOf(message);
    }
    rig.addWorker(models, "another", { openEngine });
    const ends = rig.edge.events.filter(({ type }) => type === "succeeded").length;
    rig.send(again);
    await rig.edge.until(
      () => rig.edge.events.filter(({ type }) => type === "succeeded").length > ends,
    );
    expect(seeds[2]).toBe(seeds[0]);
    expect(seeds[1]).not.toBe(seeds[0]);
  });
});

const endless: Script = () => 1_500;

const breaksLate: Script = (_, __, position) => {
  if (position === 4) throw new Error("broken");
  return 1_500;
};

/** Writes so many tokens and goes on with nothing until it is left. */
const stuckAfter = (tokens: number, onStuck: () => void): GenerationEngine => ({
  backlog: () => new Map(),
  async generate({ prompt }, { signal, onRun, onToken }) {
    onRun(prompt.length);
    for (let made = 0; made < tokens; made += 1) {
      onRun(1);
      onToken(0, { token: 1_500, logprob: null, topLogprobs: [] });
    }
    onStuck();
    await whenAborted(signal);
    throw signal.reason;
  },
});

async function usageOf(message: JobMessage, engine: GenerationEngine): Promise<Usage | undefined> {
  rig = await Rig.start();
  rig.addWorker(models, "worker", { openEngine: () => engine });
  rig.send(message);
  const end = await endOf(message);
  return end !== undefined && "usage" in end ? end.usage : undefined;
}

describe("what is charged", () => {
  it("is prompt and answer, what was there of the prompt named", async () => {
    const parameters = { max_tokens: 5, n: 2 };
    const usage = await usageOf(messageOf({ parameters }), scriptedEngine(endless, 3));
    expect(usage).toEqual({ promptTokens: 6, completionTokens: 10, cachedTokens: 3 });
  });

  it("is what had been made where the job fails", async () => {
    const usage = await usageOf(messageOf(), scriptedEngine(breaksLate));
    expect(usage).toEqual({ promptTokens: 6, completionTokens: 4 });
  });

  it("is what had been made where nobody wants the job any more", async () => {
    const message = messageOf({ parameters: { max_tokens: 8_000 } });
    const leave = () => void rig.edge.cancelled.add(message.id);
    expect(await usageOf(message, stuckAfter(8, leave))).toEqual({
      promptTokens: 6,
      completionTokens: 8,
    });
    expect(rig.edge.givenUp).toHaveLength(1);
  });
});
