/** The far side of threads-apart.ts: starts threads, hands on what they are told and say, and ends with its parent. */
import type { Worker } from "node:worker_threads";
import { cpuMsOf, startWorker } from "./start-thread.ts";
import type {
  ProcessAnswer,
  ProcessRequest,
  ThreadAnswer,
  ThreadFault,
  ThreadRequest,
} from "./thread-protocol.ts";
import { inSharedMemory, type Vocabulary } from "./vocabulary.ts";

const workers = new Map<number, Worker>();
const vocabularies = new Map<number, Vocabulary>();

function say(answer: ProcessAnswer): void {
  process.send?.(answer);
}

function start({ thread, limits }: Extract<ProcessRequest, { kind: "start" }>): void {
  const worker = startWorker(limits, true);
  workers.set(thread, worker);
  let error: ThreadFault | null = null;
  worker.on("message", (said: ThreadAnswer | { readonly kind: "runs"; readonly number: number }) =>
    say(said.kind === "runs" ? { thread, ...said } : { thread, kind: "said", answer: said }),
  );
  worker.on("error", ({ name, message, stack = "" }: Error) => (error = { name, message, stack }));
  worker.on("exit", () => {
    workers.delete(thread);
    say({ thread, kind: "ended", error });
  });
}

function learned({ id, vocabulary }: Extract<ProcessRequest, { kind: "learn" }>): ThreadRequest {
  if (vocabulary !== null) vocabularies.set(id, inSharedMemory(vocabulary));
  const known = vocabularies.get(id);
  if (known === undefined) throw new Error("a process was not told of a vocabulary");
  return { kind: "vocabulary", vocabulary: known };
}

async function tellCpu(thread: number): Promise<void> {
  const worker = workers.get(thread);
  if (worker === undefined) return;
  // It may end meanwhile, which its own event tells.
  const milliseconds = await cpuMsOf(worker).catch(() => null);
  if (milliseconds !== null) say({ thread, kind: "cpu", milliseconds });
}

process.on("message", (request: ProcessRequest) => {
  const { thread, kind } = request;
  if (kind === "start") start(request);
  else if (kind === "learn") workers.get(thread)?.postMessage(learned(request), []);
  else if (kind === "ask") workers.get(thread)?.postMessage(request.request, []);
  else if (kind === "cpu") void tellCpu(thread);
  else void workers.get(thread)?.terminate();
});
process.on("disconnect", () => process.exit());
// Ctrl-C in a terminal reaches it too: the parent ends first, and the channel with it.
process.on("SIGINT", () => null);
