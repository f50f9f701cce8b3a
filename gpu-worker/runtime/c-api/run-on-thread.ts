/** The thread of run-thread.ts: opens the library that is loaded already, and runs what it is sent. */
import { parentPort, workerData } from "node:worker_threads";
import { openOrtApi } from "./ort-api.ts";
import type { NativeRun, RunAnswer } from "./run-thread.ts";

const api = openOrtApi(String(workerData));

function answerTo({ session, options, inputNames, inputs, outputNames, outputs }: NativeRun) {
  try {
    const [given, made] = [inputs.length, outputs.length];
    api.runHere(session, options, inputNames, inputs, given, outputNames, made, outputs);
    return { outputs };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on("message", (run: NativeRun) => {
  parentPort?.postMessage(answerTo(run) satisfies RunAnswer, []);
});
