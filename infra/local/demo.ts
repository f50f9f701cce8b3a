/**
 * `npm run demo`: one real request of each kind to the running platform, or to one it starts and stops itself; prints
 * the answers and where they came from, and exits 0 only if all were right.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { Command } from "commander";
import { ApiClient } from "./demo/api-client.ts";
import type { DemoContext } from "./demo/demo-step.ts";
import { demoSteps } from "./demo/steps.ts";
import { openWebhookReceiver } from "./demo/webhook-receiver.ts";
import { readRun } from "./run-file.ts";
import { startStack } from "./start-stack.ts";
import { wholeNumber } from "./whole-number.ts";

const { state, port } = new Command("npm run demo --")
  .description("Sends one real request of each kind and checks the answers.")
  .option("--state <dir>", "state folder of the stack", ".llm-os")
  .option(
    "--port <n>",
    "port of the stack that it starts, where none runs on the folder; 0 for any",
    wholeNumber(0, 65_535),
  )
  .parse()
  .opts<{ state: string; port?: number }>();
const folder = path.resolve(state);

type Target = { context: DemoContext; stop: () => Promise<unknown> };

/** @returns the url of the stack that runs on the folder; null where none answers */
async function runningUrl(): Promise<string | null> {
  const run = readRun(folder);
  if (run === null || !run.ready) return null;
  const response = await fetch(`${run.url}/healthz`).catch(() => null);
  return response?.ok === true ? run.url : null;
}

async function openTarget(): Promise<Target> {
  const salt = new Date().toISOString();
  const url = await runningUrl();
  if (url !== null) {
    if (port !== undefined && port !== 0 && new URL(url).port !== String(port)) {
      throw new Error(
        `the stack on ${folder} is at ${url}: leave --port out, or choose another folder with --state`,
      );
    }
    console.log(`using the stack at ${url}`);
    const key = readFileSync(path.join(folder, "operator-key"), "utf8").trim();
    return {
      context: { api: new ApiClient(url, key), receiver: null, salt },
      stop: async () => {},
    };
  }
  const receiver = await openWebhookReceiver();
  console.log("starting a stack for the demo");
  let starting = true;
  const stack = await startStack({
    state: folder,
    port: port ?? 0,
    env: { LLM_OS_WEBHOOK_ALLOW: receiver.target },
    onLine: (line) => starting && console.log(`  ${line}`),
  });
  starting = false;
  return {
    context: { api: new ApiClient(stack.url, stack.operatorKey), receiver, salt },
    stop: async () => {
      receiver.close();
      await stack.stop();
    },
  };
}

/** @returns how many went wrong */
async function runSteps(context: DemoContext): Promise<number> {
  let wrong = 0;
  for (const { name, run } of demoSteps) {
    console.log(`\n${name}`);
    try {
      for (const line of await run(context)) console.log(`  ${line}`);
    } catch (error) {
      wrong += 1;
      console.log(`  WRONG: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return wrong;
}

try {
  const { context, stop } = await openTarget();
  const wrong = await runSteps(context).finally(stop);
  console.log(wrong === 0 ? "\nall answers were right" : `\n${wrong} of the answers were wrong`);
  process.exit(wrong === 0 ? 0 : 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
