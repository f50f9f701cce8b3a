/**
 * The near side of a session's thread: requests out, answers in, one at a time. The thread keeps the process alive only
 * while it owes an answer, and is never ended from outside (see busy-flag.ts). A thread that dies fails what waits for
 * it and whatever is asked later.
 */
import { Worker } from "node:worker_threads";
import { keepWasmCode } from "../../event-loop/keep-wasm-code.ts";
import { RuntimeError } from "../session.ts";
import { forgetFlag, keepBusy, raiseFlag } from "./busy-flag.ts";
import type { ThreadAnswer, ThreadRequest, ThreadStart } from "./thread-messages.ts";

export type SessionWorker = {
  /** The answer to the start: `loaded`, else it rejects. */
  readonly started: Promise<ThreadAnswer>;
  /** @throws RuntimeError with the thread's reason */
  ask: (request: ThreadRequest) => Promise<ThreadAnswer>;
  /** Has the thread free the session, once it has done what was asked before, and waits until it has ended. */
  end: () => Promise<void>;
};

type Waiting = Pick<PromiseWithResolvers<ThreadAnswer>, "resolve" | "reject">;

export function startSessionWorker(start: Omit<ThreadStart, "busy">): SessionWorker {
  const busy = raiseFlag();
  keepWasmCode();
  const worker = new Worker(new URL("session-thread.ts", import.meta.url), {
    workerData: { ...start, busy } satisfies ThreadStart,
    execArgv: [],
  });
  const ended = Promise.withResolvers<void>();
  let waiting: Waiting | null = null;
  let dead: RuntimeError | null = null;

  const settle = (act: (waiting: Waiting) => void): void => {
    const current = waiting;
    waiting = null;
    worker.unref();
    if (current !== null) act(current);
  };
  const expectAnswer = (): Promise<ThreadAnswer> => {
    if (dead !== null) return Promise.reject(dead);
    const answer = Promise.withResolvers<ThreadAnswer>();
    waiting = answer;
    worker.ref();
    return answer.promise;
  };
  const die = (error: RuntimeError): void => {
    dead ??= error;
    settle(({ reject }) => reject(error));
  };

  worker.on("message", (answer: ThreadAnswer) =>
    settle(({ resolve, reject }) =>
      answer.kind === "failed" ? reject(new RuntimeError(answer.message)) : resolve(answer),
    ),
  );
  worker.on("error", (error) => {
    const reason = error instanceof Error ? error.message : String(error);
    die(new RuntimeError(`the session's thread failed: ${reason}`, { cause: error }));
  });
  worker.on("exit", () => {
    forgetFlag(busy);
    die(new RuntimeError("the session's thread has ended"));
    ended.resolve();
  });
  return {
    started: expectAnswer(),
    ask: (request) => {
      const answer = expectAnswer();
      keepBusy(busy);
      worker.postMessage(request, []);
      return answer;
    },
    end: () => {
      worker.ref();
      keepBusy(busy);
      worker.postMessage({ kind: "release" } satisfies ThreadRequest, []);
      return ended.promise;
    },
  };
}
