/**
 * What may take long is compiled apart, by a process that gives way to all others of the machine with each of its
 * threads, and still comes to its end.
 */
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { schemaOf, times } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";

/** Of Linux's sched.h. */
const schedIdle = 5;

/** Fields of proc_pid_stat(5) behind the second, which is in brackets. */
function statOf(file: string): { name: string; fields: string[] } {
  const stat = readFileSync(file, "utf8");
  const end = stat.lastIndexOf(")");
  return { name: stat.slice(stat.indexOf("(") + 1, end), fields: stat.slice(end + 2).split(" ") };
}

const threadsOf = (pid: number | "self") =>
  readdirSync(`/proc/${pid}/task`).map((thread) => statOf(`/proc/${pid}/task/${thread}/stat`));

/** Threads of JavaScript beside the first, by the name that Node gives them. */
const workersHere = () => threadsOf("self").filter(({ name }) => name === "WorkerThread").length;

/** Processes that this one started: whether each of their threads, none of them or some yield. */
function children(): { pid: number; yields: boolean | "some" }[] {
  const pids = readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) && Number(statOf(`/proc/${name}/stat`).fields[1]) === process.pid
        ? [Number(name)]
        : [];
    } catch {
      // It has ended.
      return [];
    }
  });
  return pids.map((pid) => {
    const policies = threadsOf(pid).map(({ fields }) => Number(fields[38]) === schedIdle);
    const all = policies.every((idle) => idle);
    return { pid, yields: all || (policies.some((idle) => idle) ? "some" : false) };
  });
}

const begin = `require("node:worker_threads").parentPort.postMessage("begun")`;

it.skipIf(process.platform !== "linux")(
  "yields to others, but not where those have every core all the time",
  { timeout: 600_000 },
  async () => {
    const [workers, processes] = [workersHere(), children().map(({ pid }) => pid)];
    const apart = () => children().filter(({ pid }) => !processes.includes(pid));
    const grammars = new Grammars({ bytesMax: 20 * 2 ** 20 });
    const model = wordsOf(await madeTokenizer("smollm"));
    const { signal } = new AbortController();
    const compile = (schema: unknown) =>
      grammars.constrain(
        model,
        { structure: schemaOf(schema), param: "structure" },
        { signal, tenant: "one" },
      );
    await compile({ const: "text" });
    // On a machine that is busy with others, there may be one more already that does not.
    const yielding = () => apart().filter(({ yields }) => yields === true);
    const [first] = yielding();
    expect(first).toBeDefined();
    // Too much memory: its thread is ended, the process goes on with another.
    const large = Object.fromEntries(times(2_000).map((at) => [`p${at}`, { type: "string" }]));
    await expect(compile({ properties: large, type: "object" })).rejects.toThrow(CodedError);
    await compile({ const: "another text" });
    expect(yielding()).toEqual([first]);
    expect(workersHere()).toBe(workers);
    const busy = Array.from(
      { length: 2 * availableParallelism() },
      () => new Worker(`${begin}; for (;;);`, { eval: true }),
    );
    try {
      await Promise.all(busy.map((worker) => once(worker, "message")));
      // One that yields has nothing, and makes way for one that has a share.
      await compile({ enum: times(2_000) });
    } finally {
      await Promise.all(busy.map((worker) => worker.terminate()));
    }
    expect(yielding()).toEqual([first]);
    expect(apart().map(({ yields }) => yields)).toContain(false);
    grammars.close();
    // Ended, it needs a core to go.
    await expect.poll(apart, { timeout: 120_000 }).toEqual([]);
  },
);
