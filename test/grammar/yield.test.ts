/** Threads of what may take long give way to all others of the machine, and still come to their end. */
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { schemaOf, times } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";

/** Of Linux's sched.h. */
const schedIdle = 5;

/** Of this process's threads: `policy`, the 41st field of proc_pid_stat(5), the second of which is in brackets. */
function idleThreads(): number {
  const policies = readdirSync("/proc/self/task").map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38]);
  });
  return policies.filter((policy) => policy === schedIdle).length;
}

const begin = `require("node:worker_threads").parentPort.postMessage("begun")`;

it.skipIf(process.platform !== "linux")(
  "yield to others, but not where those have every core all the time",
  { timeout: 60_000 },
  async () => {
    const grammars = new Grammars();
    const model = wordsOf(await madeTokenizer("smollm"));
    const { signal } = new AbortController();
    const compile = (schema: unknown) =>
      grammars.constrain(
        model,
        { structure: schemaOf(schema), param: "structure" },
        { signal, tenant: "one" },
      );
    await compile({ const: "text" });
    expect(idleThreads()).toBe(1);
    const busy = Array.from(
      { length: 2 * availableParallelism() },
      () => new Worker(`${begin}; for (;;);`, { eval: true }),
    );
    try {
      await Promise.all(busy.map((worker) => once(worker, "message")));
      // Seconds of a core: one that yields has none of them, and makes way for one that does not.
      await compile({ enum: times(4_000) });
    } finally {
      await Promise.all(busy.map((worker) => worker.terminate()));
    }
    // Without a core, the one that made way could not end.
    await expect.poll(idleThreads).toBe(0);
    grammars.close();
  },
);
