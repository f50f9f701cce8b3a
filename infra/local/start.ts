/**
 * `npm start`: the whole platform on this machine's loopback interface, until Ctrl-C, a signal or the end of the npm
 * that started it. Prints `ready URL` when a request would be answered, and a request to copy.
 */
import { createRequire, enableCompileCache, flushCompileCache } from "node:module";
import path from "node:path";
import process from "node:process";
import { Command } from "commander";
import { cacheFolder, compiledCode } from "./cache-folder.ts";
import { wholeNumber } from "./whole-number.ts";

const program = new Command("npm start --")
  .description("Runs the whole platform on this machine: edge, queue server, worker and model.")
  .option("--state <dir>", "folder of everything it keeps", ".llm-os")
  .option("--port <n>", "port of the API on 127.0.0.1; 0 for any", wholeNumber(0, 65_535), 8787)
  .option("--workers <n>", "worker processes on the queue", wholeNumber(1, 16), 1)
  .parse();

const { state, port, workers } = program.opts<{ state: string; port: number; workers: number }>();
const folder = path.resolve(state);
enableCompileCache(compiledCode(cacheFolder(folder, process.env)));
const { readNeighbours } = await import("./child-protocol.ts");
const { StartError } = await import("./state-folder.ts");
const { onStarterGone } = await import("./starter-watch.ts");

function sampleRequest(url: string): string {
  return [
    `curl ${url}/v1/embeddings -H 'content-type: application/json' \\`,
    `  -d '{"model": "all-MiniLM-L6-v2", "input": "The quick brown fox"}'`,
  ].join("\n");
}

/** The first signal ends it in good order; npm and the terminal may send the same one twice. */
function endInOrder(stop: () => Promise<void>): void {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    console.log("stopping");
    void stop().finally(() => process.exit(0));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  onStarterGone(end);
}

/** A reader or a terminal that is gone is no reason to end out of order. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

function print(line: string): void {
  console.log(line);
}

/** @throws StartError after `npm ci --omit=dev`, which installs what a worker alone needs */
function expectPackages(): void {
  try {
    createRequire(import.meta.url).resolve("wrangler/package.json");
  } catch {
    throw new StartError("packages are missing that a whole stack needs: run `npm ci`");
  }
}

async function main(): Promise<void> {
  outliveReaders();
  expectPackages();
  const { LocalStack } = await import("./local-stack.ts");
  const neighbours = readNeighbours(process.env);
  const environment = process.env;
  const stack = await LocalStack.start(
    { state: folder, port, workers, neighbours, environment },
    print,
  );
  endInOrder(() => stack.stop());
  try {
    await stack.ready();
  } catch (error) {
    await stack.stop();
    throw error;
  }
  console.log(`ready ${stack.url}`);
  console.log(`\n${sampleRequest(stack.url)}\n`);
  console.log(
    `Your own key, free of limits: ${path.join(state, "operator-key")}. Ctrl-C stops it.`,
  );
  flushCompileCache();
}

try {
  await main();
} catch (error) {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}
