/**
 * Prints `N passed, N failed, N skipped` as the run's last line, the form CI reads; before it, where a worker process
 * died, how it ended, and which files it left without results.
 */
import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import path from "node:path";
import type { Reporter, TestModule } from "vitest/node";

type Spawned = { readonly process: ChildProcess };

/** How vitest itself ends a worker whose file is done. */
const stopped = "SIGTERM";

function reportEnd(message: unknown): void {
  const child = (message as Spawned).process;
  child.once("exit", (code, signal) => {
    const isWorker = child.spawnargs.some((argument) => /vitest.*workers.forks/.test(argument));
    if (!isWorker || code === 0 || signal === stopped) return;
    console.error(`worker process ${child.pid} ended by ${signal ?? `exit code ${code}`}`);
  });
}

/** What is said of a file that came to no end; null where it did. */
function unfinished(module: TestModule): string | null {
  const tests = [...module.children.allTests()];
  const pending = tests.filter((test) => test.result().state === "pending");
  const isOpen = ["queued", "pending"].includes(module.state());
  if (!isOpen && pending.length === 0) return null;
  const file = path.relative("", module.moduleId);
  if (tests.length === 0) return `${file} never finished: none of its tests was reported`;
  return `${file} never finished: ${pending.length} of ${tests.length} tests have no result`;
}

export default class ClosingLineReporter implements Reporter {
  onInit(): void {
    subscribe("child_process", reportEnd);
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      if (module.state() === "failed" && module.children.size === 0) count.failed += 1;
      for (const test of module.children.allTests()) count[test.result().state] += 1;
    }
    const open = modules.map(unfinished).filter((line) => line !== null);
    const { passed, failed, skipped } = count;
    process.on("exit", () => {
      for (const line of open) console.log(line);
      console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    });
  }
}
