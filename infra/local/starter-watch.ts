/**
 * Notices that the npm which started this program is gone. npm passes SIGTERM and SIGINT to its shell alone, which ends without
 * a word to what it runs, and dies of SIGHUP and SIGKILL itself. A program started by node directly has no such starter:
 * whoever starts it so (a service manager, `nohup`) signals it.
 */
import process from "node:process";
import { commandOf, isAlive, parentOf } from "./process-identity.ts";

const askEveryMs = 500;

/** Calls `end` once, when npm or its shell has ended. Does not keep the process. */
export function onStarterGone(end: () => void): void {
  const parent = process.ppid;
  const starters = npmAbove(parent, process.env);
  if (starters.length === 0) return;
  const asking = setInterval(() => {
    // An id may be used again, but a parent that ended is replaced by another.
    if (process.ppid === parent && starters.every(isAlive)) return;
    clearInterval(asking);
    end();
  }, askEveryMs);
  asking.unref();
}

/** The parent and, where that is the shell in which npm runs its script, npm above it; none where npm has no part in it. */
function npmAbove(parent: number, env: Readonly<Record<string, string | undefined>>): number[] {
  const { npm_lifecycle_event: event, npm_lifecycle_script: script } = env;
  if (event === undefined) return [];
  const isShell = script !== undefined && commandOf(parent)?.includes(script) === true;
  const above = isShell ? parentOf(parent) : null;
  return above === null ? [parent] : [parent, above];
}
