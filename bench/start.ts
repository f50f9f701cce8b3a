/** How long `npm start` takes until a request would be answered: the first time, and with everything cached. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startStack } from "../infra/local/start-stack.ts";
import { type Bench, plainRow } from "./bench.ts";
import { median } from "./harness/http-load.ts";

const warmStarts = 5;

export const bench: Bench = {
  summary: "seconds from npm start's process to ready, cold and warm",
  run: async ({ print, signal }) => {
    const state = mkdtempSync(path.join(tmpdir(), "llm-os-start-"));
    const secondsToReady = async (what: string) => {
      signal.throwIfAborted();
      const stack = await startStack({ state });
      await stack.stop();
      print(`${what}: ready after ${(stack.readyAfterMs / 1_000).toFixed(2)} s`);
      return stack.readyAfterMs / 1_000;
    };
    try {
      const cold = await secondsToReady("cold");
      const warm: number[] = [];
      while (warm.length < warmStarts) warm.push(await secondsToReady("warm"));
      return [plainRow("cold", "s", cold), plainRow("warm", "s", median(warm))];
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  },
};
