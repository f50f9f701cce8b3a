/**
 * What the path adds to each token of a stream: from when a worker writes it to when the caller has it, over worker,
 * WebSocket, shard, edge and HTTP, each in its own process as `npm start` runs them. The model is a script, which
 * writes the time into each token: all streams in one turn, as an engine's step does, or each in a turn of its own.
 */
import { Pool } from "undici";
import { type Bench, plainRow, type Row } from "./bench.ts";
import { quantile } from "./harness/http-load.ts";
import { formatCpu, startCpuMeter } from "./harness/process-cpu.ts";
import { nowMs, type ScriptPrompt, scriptedModel } from "./harness/script-prompt.ts";
import { ScriptedStack } from "./harness/scripted-stack.ts";

const streams = 16;
const seconds = 6;
/** Of each stream: connections open, code is compiled. */
const warmUpTokens = 50;

const shares = [0.5, 0.95, 0.99];

type Delays = { ms: number[]; tokens: number };

function bodyOf(prompt: ScriptPrompt): string {
  const { id: model } = scriptedModel;
  return JSON.stringify({ model, inputs: [JSON.stringify(prompt)], stream: true });
}

function promptsOf(perSecond: number, inStep: boolean): ScriptPrompt[] {
  const everyMs = 1_000 / perSecond;
  return Array.from({ length: streams }, (_, i) => ({
    tokens: warmUpTokens + seconds * perSecond,
    everyMs,
    offsetMs: inStep ? 0 : (everyMs * i) / streams,
    stamped: true,
    call: `${perSecond} a second, ${inStep}, ${i}`,
  }));
}

/** One stream, read whole. */
function read(pool: Pool, key: string, prompt: ScriptPrompt, delays: Delays): Promise<void> {
  let text = "";
  let status = 0;
  let told = 0;
  const others: string[] = [];
  const take = (at: number) => {
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      const written = /"text":" ([\d.]+)"/.exec(event)?.[1];
      text = text.slice(end + 2);
      if (written === undefined) {
        others.push(event);
        continue;
      }
      told += 1;
      if (told > warmUpTokens) delays.ms.push(at - Number(written));
    }
  };
  return new Promise((resolve, reject) => {
    const path = "/v1/tasks/text-generation";
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    pool.dispatch(
      { path, method: "POST", headers, body: bodyOf(prompt) },
      {
        onRequestStart: () => {},
        onResponseStart: (_controller, statusCode) => {
          status = statusCode;
        },
        onResponseData: (_controller, chunk) => {
          const at = nowMs();
          text += chunk.toString();
          if (status === 200) take(at);
        },
        onResponseEnd: () => {
          delays.tokens += told;
          if (told === prompt.tokens) resolve();
          else
            reject(
              new Error(`${path} answered ${status} with ${told} tokens: ${others.join()}${text}`),
            );
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

export const bench: Bench = {
  summary: "what the path adds to each token of 16 streams, from the worker to the caller",
  run: async ({ print, signal }) => {
    const stack = await ScriptedStack.start();
    const pool = new Pool(stack.url, { connections: streams, pipelining: 1 });
    try {
      await stack.run("worker");
      await stack.modelKnown();
      const pass = async (perSecond: number, inStep: boolean): Promise<Delays> => {
        signal.throwIfAborted();
        const delays: Delays = { ms: [], tokens: 0 };
        const prompts = promptsOf(perSecond, inStep);
        await Promise.all(prompts.map((prompt) => read(pool, stack.operatorKey, prompt, delays)));
        return delays;
      };
      // Not measured: by its end the code of all processes is compiled.
      await pass(40, true);
      const rows: Row[] = [];
      for (const perSecond of [25, 50]) {
        for (const inStep of [true, false]) {
          const meter = startCpuMeter(stack.pids);
          const delays = await pass(perSecond, inStep);
          const sorted = delays.ms.toSorted((a, b) => a - b);
          const [p50 = NaN, p95 = NaN, p99 = NaN] = shares.map((share) => quantile(sorted, share));
          const name = `${streams} × ${perSecond} tokens/s, ${inStep ? "in step" : "each by itself"}`;
          print(
            `${name}: added p50 ${p50.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
          );
          print(`  CPU ms per token: ${formatCpu(meter.perRequest(delays.tokens))}`);
          rows.push(plainRow(`${name}: p50`, "ms", p50), plainRow(`${name}: p99`, "ms", p99));
        }
      }
      return rows;
    } finally {
      await pool.destroy();
      await stack.stop();
    }
  },
};
