/**
 * llama.cpp as a peer: node-llama-cpp is large, so that it has a lock of its own in bench/peers and is installed there
 * when it is first asked for.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import * as z from "zod";
import type { BenchContext } from "../bench.ts";
import { centredCopy } from "./centred-copy.ts";
import { peerScript, runPeer } from "./peer-process.ts";
import { threads } from "./served-models.ts";

const peers = path.dirname(peerScript("package.json"));
const stateFolder = path.resolve(import.meta.dirname, "..", "..", ".bench");
/** Of each round. */
const steps = 24;

const Answer = z.object({
  decode: z.array(z.object({ streams: z.int(), context: z.int(), rate: z.number() })),
  prefill: z.number(),
});

/** Tokens per second. */
export type LlamaFigures = {
  /** By `streams=N context=N`. */
  readonly decode: Readonly<Record<string, number>>;
  readonly prefill: number;
};

export type LlamaRequest = {
  /** A file of Q4_1. */
  readonly gguf: string;
  readonly streamCounts: readonly number[];
  readonly contexts: readonly number[];
  readonly promptTokens: number;
};

export async function installLlama({ print, signal }: BenchContext): Promise<void> {
  if (existsSync(path.join(peers, "node_modules", "node-llama-cpp"))) return;
  print("installing node-llama-cpp in bench/peers (725 MB)");
  // Not `npm ci`: it asks for the builds of all platforms, of which a registry may lack some.
  const args = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  await promisify(execFile)("npm", args, { cwd: peers, signal });
}

/**
 * @param form Q4_0: a copy of the file in llama.cpp's fastest form, which says other things in the same time
 * @throws where it cannot be installed or run
 */
export async function measureLlama(
  form: "Q4_1" | "Q4_0",
  { gguf, ...request }: LlamaRequest,
  context: BenchContext,
): Promise<LlamaFigures> {
  await installLlama(context);
  const file = form === "Q4_1" ? gguf : centredCopy(gguf, path.join(stateFolder, "peers"));
  const args = [peerScript("llama-cpp.mjs")];
  const input = { file, threads, steps, ...request };
  const command = { program: process.execPath, args, input };
  const { decode, prefill } = await runPeer(command, Answer, context.signal);
  const entries = decode.map(({ streams, context: length, rate }): [string, number] => {
    context.print(
      `llama.cpp ${form}, ${streams} streams at ${length}: ${rate.toFixed(0)} tokens/s`,
    );
    return [`streams=${streams} context=${length}`, rate];
  });
  context.print(
    `llama.cpp ${form}, prompt of ${request.promptTokens}: ${prefill.toFixed(0)} tokens/s`,
  );
  return { decode: Object.fromEntries(entries), prefill };
}
