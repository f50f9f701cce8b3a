/**
 * An answer from the cache beside a bare Hono route that answers the same bytes to the same request, in the same
 * workerd, each on a socket straight into it (the local stack's relay, which would cost both the same, is left out).
 * What lies between the two is all that the edge does for a hit: who is calling, validation, the key, the look-up.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { loopback, freePorts } from "../infra/local/free-ports.ts";
import { neighboursVariable, type NeighbourWorker } from "../infra/local/child-protocol.ts";
import { readRun } from "../infra/local/run-file.ts";
import { type RunningStack, startStack } from "../infra/local/start-stack.ts";
import { outputOf, root, wrangler, wranglerHome } from "../infra/run-program.ts";
import { type Bench, comparedRow } from "./bench.ts";
import { type Load, median, runLoad } from "./harness/http-load.ts";
import { formatCpu, startCpuMeter } from "./harness/process-cpu.ts";

const callers = 32;
const warmUpRequests = 5_000;
const requestsPerRound = 10_000;
const rounds = 5;

const endpoint = "/v1/embeddings";
const request = JSON.stringify({
  model: "all-MiniLM-L6-v2",
  input: "The quick brown fox jumps over the lazy dog",
  encoding_format: "base64",
});

type Answer = { body: string; headers: Record<string, string> };

function load(origin: string, operatorKey: string, requests: number): Load {
  return {
    origin,
    path: endpoint,
    headers: { "content-type": "application/json", authorization: `Bearer ${operatorKey}` },
    body: () => request,
    callers,
    requests,
  };
}

async function ask(stack: RunningStack): Promise<Answer> {
  const { path: _, headers } = load(stack.url, stack.operatorKey, 1);
  const response = await fetch(`${stack.url}${endpoint}`, {
    method: "POST",
    headers,
    body: request,
  });
  const body = await response.text();
  if (response.status !== 200) throw new Error(`${endpoint} answered ${response.status}: ${body}`);
  const { "content-length": _length, date: _date, ...kept } = Object.fromEntries(response.headers);
  return { body, headers: kept };
}

/** The first run computes the answer, which later ones find in the cache; the second shows what a hit looks like. */
async function learnAnswer(state: string): Promise<Answer> {
  const stack = await startStack({ state });
  try {
    await ask(stack);
    const hit = await ask(stack);
    if (hit.headers["x-cache"] !== "hit") throw new Error("the second identical call was no hit");
    return hit;
  } finally {
    await stack.stop();
  }
}

/** Bundled as the edge is, in a folder where `hono` is found. */
async function bundleBareHono(
  folder: string,
  answer: Answer,
  port: number,
): Promise<NeighbourWorker> {
  mkdirSync(folder, { recursive: true });
  const entry = path.join(folder, "bare-hono.js");
  const config = path.join(folder, "wrangler.json");
  const modules = path.join(folder, "modules");
  writeFileSync(
    entry,
    `import { Hono } from "hono";
const body = ${JSON.stringify(answer.body)};
const headers = ${JSON.stringify(answer.headers)};
const app = new Hono();
app.post(${JSON.stringify(endpoint)}, (c) => c.body(body, 200, headers));
export default app;
`,
  );
  writeFileSync(
    config,
    JSON.stringify({ name: "bare-hono", main: entry, compatibility_date: "2026-10-20" }),
  );
  await outputOf(wrangler, ["deploy", "--dry-run", "-c", config, "--outdir", modules], {
    env: wranglerHome(folder),
  });
  return { name: "bare-hono", modules, port };
}

type Rates = { ours: number[]; bare: number[] };

/** Turn about, so that whatever else the machine does meets both alike. */
async function measure(
  stack: RunningStack,
  barePort: number,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<Rates> {
  const run = readRun(stack.state);
  const origins = {
    ours: `http://${loopback}:${run?.ports.workerd}`,
    bare: `http://${loopback}:${barePort}`,
  } as const;
  const rates: Rates = { ours: [], bare: [] };
  for (const origin of Object.values(origins)) {
    await runLoad(load(origin, stack.operatorKey, warmUpRequests), signal);
  }
  const workerd = run?.pids["workerd"] ?? null;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of ["ours", "bare"] as const) {
      const meter = startCpuMeter({ workerd });
      const figures = await runLoad(
        load(origins[name], stack.operatorKey, requestsPerRound),
        signal,
      );
      rates[name].push(figures.requestsPerSecond);
      print(
        `${name === "ours" ? "hit" : "bare hono"}: ${figures.requestsPerSecond.toFixed(0)} req/s; ` +
          `CPU ms per request: ${formatCpu(meter.perRequest(requestsPerRound))}`,
      );
    }
  }
  return rates;
}

export const bench: Bench = {
  summary: "a cached answer beside a bare Hono route with the same bytes",
  run: async ({ print, signal }) => {
    const state = mkdtempSync(path.join(tmpdir(), "llm-os-cache-"));
    const folder = path.join(root, ".bench", "bare-hono");
    try {
      const answer = await learnAnswer(state);
      const [port = 0] = await freePorts(1);
      const neighbour = await bundleBareHono(folder, answer, port);
      const stack = await startStack({
        state,
        env: { [neighboursVariable]: JSON.stringify([neighbour]) },
      });
      try {
        const again = await ask(stack);
        if (again.body !== answer.body) {
          throw new Error(`the cached answer changed (x-cache: ${again.headers["x-cache"]})`);
        }
        const { ours, bare } = await measure(stack, port, print, signal);
        const peer = { name: "bare hono", value: median(bare) };
        return [comparedRow("hit vs bare hono", "req/s", median(ours), peer)];
      } finally {
        await stack.stop();
      }
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  },
};
