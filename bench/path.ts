/**
 * The path alone: HTTP → admission → shard → queue → worker → callback → answer, with a task that computes nothing. The
 * whole stack as `npm start` runs it, on a fresh state folder.
 */
import { type RunningStack, startStack } from "../infra/local/start-stack.ts";
import { readRun } from "../infra/local/run-file.ts";
import { type Bench, plainRow } from "./bench.ts";
import { type Load, runLoad } from "./harness/http-load.ts";
import { formatCpu, startCpuMeter } from "./harness/process-cpu.ts";

const warmUpRequests = { one: 100, many: 2_000 } as const;
const measuredRequests = { one: 400, many: 6_000 } as const;
const manyCallers = 32;

function noop(stack: RunningStack, callers: number, requests: number): Load {
  return {
    origin: stack.url,
    path: "/v1/tasks/noop",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
    },
    body: (i) => JSON.stringify({ inputs: [`request ${i}`] }),
    callers,
    requests,
  };
}

export const bench: Bench = {
  summary: "a request through edge, queue, worker and back, computing nothing",
  run: async ({ print, signal }) => {
    const stack = await startStack();
    try {
      const pids = readRun(stack.state)?.pids ?? {};
      const measure = async (callers: number, size: keyof typeof warmUpRequests) => {
        await runLoad(noop(stack, callers, warmUpRequests[size]), signal);
        const requests = measuredRequests[size];
        const meter = startCpuMeter(pids);
        const figures = await runLoad(noop(stack, callers, requests), signal);
        print(
          `callers=${callers}: ${figures.requestsPerSecond.toFixed(0)} req/s, ` +
            `p50 ${figures.p50Ms.toFixed(2)} ms, p95 ${figures.p95Ms.toFixed(2)} ms`,
        );
        print(`  CPU ms per request: ${formatCpu(meter.perRequest(requests))}`);
        return figures;
      };
      const alone = await measure(1, "one");
      const together = await measure(manyCallers, "many");
      return [
        plainRow("callers=1 p50", "ms", alone.p50Ms),
        plainRow(`callers=${manyCallers}`, "req/s", together.requestsPerSecond),
      ];
    } finally {
      await stack.stop();
    }
  },
};
