/**
 * The near side of a session's thread: requests out, answers in, one at a time. The thread keeps the process alive only
 * while it owes an answer. A thread that dies fails what waits for it and whatever is asked later.
 */
import { Worker } from "node:worker_threads";
import { RuntimeError } from "../session.ts";
import type { ThreadAnswer, ThreadRequest, ThreadStart } from "./thread-messages.ts";

export type SessionWorker = {
  /** The answer to the start: `loaded`, else it rejects. */
  readonly started: Promise<ThreadAnswer>;
  /** @throws RuntimeError with the thread's reason */
  ask: (request: ThreadRequest) => Promise<ThreadAnswer>;
  /** Tells the thread to free the session and waits until it has ended. */
  end: () => Promise<void>;
  /** Ends the thread in the middle of whatever it does, model and all. */
  kill: () => Promise<void>;
};

type Waiting = Pick<PromiseWithResolvers<ThreadAnswer>, "resolve" | "reject">;

export function startSessionWorker(start: ThreadStart): SessionWorker {
  const worker = new Worker(new URL("session-thread.ts", import.meta.url), {
    workerData: start,
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
  worker.on("error", (error) =>
    die(new RuntimeError("the session's thread failed", { cause: error })),
  );
  worker.on("exit", () => {
    die(new RuntimeError("the session's thread has ended"));
    ended.resolve();
  });
  return {
    started: expectAnswer(),
    ask: (request) => {
      const answer = expectAnswer();
      worker.postMessage(request, []);
      return answer;
    },
    end: () => {
      worker.ref();
      worker.postMessage({ kind: "release" } satisfies ThreadRequest, []);
      return ended.promise;
    },
    kill: async () => void (await worker.terminate()),
  };
}
