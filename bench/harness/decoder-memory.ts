/**
 * Run as `node --expose-gc decoder-memory.ts STATE_FOLDER MODELS_FOLDER MODEL` by bench/decode.ts: what a decoder keeps
 * of memory, in a process that does nothing else. Prints one JSON line, bytes that are resident: of Node with our code,
 * with the model and empty slots, and with streams that hold so many tokens.
 */
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { DecodeStreams } from "./decode-streams.ts";
import { residentMemory } from "./resident-memory.ts";
import { ServedModels } from "./served-models.ts";

const [stateFolder = "", modelsFolder = "", id = ""] = process.argv.slice(2);
const streams = 16;
const [context, newTokens] = [1_000, 32];

async function resident(): Promise<number> {
  // Twice, since what finalisers free is found by the second.
  for (let round = 0; round < 2; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc?.();
  }
  return residentMemory(process.pid)?.now ?? Number.NaN;
}

const { signal } = new AbortController();
const node = await resident();
const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form: "auto" });
const model = await served.loadDecoder(id, signal);
const empty = await resident();
const decode = new DecodeStreams(model, signal);
await decode.steady(streams, context, newTokens);
const full = await resident();
const tokens = streams * (context + newTokens);
console.log(JSON.stringify({ node, empty, full, tokens, peak: residentMemory(process.pid)?.peak }));
await served.close();
process.exit(0);
