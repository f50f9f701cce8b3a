/**
 * `npm run bench` lists the benchmarks; `npm run bench -- NAME [OPTIONS]` runs one, prints its table and ends with one
 * JSON line `{"bench","results":[{"name","unit","ours","peer","peerName","ratio","limitFraction"}]}`. Exits 0 unless
 * the benchmark could not run, however poor its figures.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import type { Bench } from "./bench.ts";
import { formatTable } from "./harness/table.ts";

const folder = import.meta.dirname;
const notBenches = new Set(["run.ts", "bench.ts"]);

function benchNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".ts") && !notBenches.has(file))
    .map((file) => path.basename(file, ".ts"))
    .toSorted();
}

async function load(name: string): Promise<Bench> {
  const module: { bench: Bench } = await import(
    pathToFileURL(path.join(folder, `${name}.ts`)).href
  );
  return module.bench;
}

async function list(): Promise<void> {
  const names = benchNames();
  const width = Math.max(...names.map((name) => name.length));
  console.log("npm run bench -- NAME, where NAME is one of:");
  for (const name of names) {
    const { summary } = await load(name);
    console.log(`  ${name.padEnd(width)}  ${summary}`);
  }
}

async function run(name: string, args: readonly string[]): Promise<void> {
  if (!benchNames().includes(name)) {
    throw new Error(`no benchmark is called ${name}: one of ${benchNames().join(", ")}`);
  }
  const { run: measure } = await load(name);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
  process.once("SIGTERM", () => interrupted.abort(new Error("interrupted")));
  const rows = await measure({
    print: (line) => console.log(line),
    signal: interrupted.signal,
    args,
  });
  console.log(`\n${formatTable(rows)}\n`);
  console.log(JSON.stringify({ bench: name, results: rows }));
}

const program = new Command("bench")
  .description("Measures the platform: figures beside a peer's and the machine's limit.")
  .argument("[name]", "benchmark to run; without it, the list")
  .argument("[options...]", "what the benchmark itself takes")
  .passThroughOptions()
  .allowUnknownOption()
  .action((name: string | undefined, args: string[]) =>
    name === undefined ? list() : run(name, args),
  );

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  console.error(
    `bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  process.exit(1);
}
