/**
 * The demo's conversation: waits for the chat model where it is being fetched, and asks it by the official OpenAI
 * client. Where the model cannot be had here, the step says so.
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Presets, SingleBar } from "cli-progress";
import OpenAI from "openai";
import * as z from "zod";
import { type ApiClient, expectBody, expectTrue } from "./api-client.ts";
import type { DemoStep } from "./demo-step.ts";

const model = "SmolLM2-135M-Instruct";
const question = "What is the capital of France? Answer in one sentence.";
const pollMs = 500;
const waitSecondsMax = 900;

const Model = z.looseObject({
  status: z.enum(["available", "downloading", "failed"]),
  reason: z.string().nullish(),
  progress: z.number().nullish(),
});

/** Asked for, a model is fetched. @returns null once it is here; why it cannot be had */
async function whyNotHere(api: ApiClient): Promise<string | null> {
  const format = `  fetching ${model} {bar} {percentage}%`;
  const bar = new SingleBar({ format, stream: process.stdout }, Presets.shades_classic);
  const deadline = performance.now() + waitSecondsMax * 1_000;
  try {
    while (performance.now() < deadline) {
      const reply = await api.get(`/v1/models/${model}`);
      const { status, reason, progress } = expectBody(reply, Model);
      if (status === "available") return null;
      if (status === "failed") return reason ?? "it failed";
      if (!bar.isActive) bar.start(100, 0);
      bar.update(Math.round(100 * (progress ?? 0)));
      await delay(pollMs);
    }
    return `it is still being fetched after ${waitSecondsMax} s`;
  } finally {
    bar.stop();
  }
}

async function ask(api: ApiClient): Promise<string[]> {
  const client = new OpenAI({ apiKey: api.operatorKey, baseURL: `${api.url}/v1` });
  const sentAt = performance.now();
  const stream = await client.chat.completions.create({
    model,
    messages: [{ role: "user", content: question }],
    temperature: 0,
    stream: true,
  });
  let [text, tokens, firstMs] = ["", 0, 0];
  for await (const { choices } of stream) {
    const piece = choices[0]?.delta.content ?? "";
    if (piece === "") continue;
    if (text === "") firstMs = performance.now() - sentAt;
    text += piece;
    tokens += 1;
  }
  expectTrue(text.includes("Paris"), `it answered ${JSON.stringify(text)}`);
  const ms = performance.now() - sentAt;
  return [
    question,
    text,
    `first text after ${firstMs.toFixed(0)} ms, ${tokens} pieces in ${ms.toFixed(0)} ms`,
  ];
}

export const chat: DemoStep = {
  name: "POST /v1/chat/completions, streamed to the official OpenAI client",
  run: async ({ api }) => {
    const reason = await whyNotHere(api);
    if (reason !== null) return [`not shown, for ${model} is not here: ${reason}`];
    return ask(api);
  },
};
