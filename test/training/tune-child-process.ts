/** A tune in a process of its own, sent a signal in mid-run; and a small base with examples for one. */
import { spawn } from "node:child_process";
import path from "node:path";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { madeTexts, usualCommand, writeLines } from "./tune-bench.ts";

/** With a base "tiny" and a file of texts whose label can be learnt. */
export async function openLabelledBench(): Promise<{ bench: CatalogBench; data: string }> {
  const bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  const lines = madeTexts(200).map((text) => ({ text, label: String(text.includes("quick")) }));
  return { bench, data: await writeLines(path.join(bench.folder, "train.jsonl"), lines) };
}

type Stop = {
  /** Begins the lines that are counted. */
  word: string;
  /** Lines after which the signal is sent. */
  lines: number;
  signal: "SIGKILL" | "SIGINT";
};

/** @returns the lines that it said before it ended */
export async function tuneUntil(
  bench: CatalogBench,
  command: Pick<TuneCommand, "model" | "data" | "out"> & Partial<TuneCommand>,
  { word, lines, signal }: Stop,
): Promise<string[]> {
  const given = { settings: bench.settings, command: { ...usualCommand, ...command } };
  const script = path.join(import.meta.dirname, "tune-child.ts");
  const child = spawn(process.execPath, [script, JSON.stringify(given)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => {
    said += String(bytes);
    if (said.split(word).length > lines) child.kill(signal);
  });
  await new Promise((resolve) => child.once("close", resolve));
  return said.split("\n");
}
