/**
 * Notices that the npm which started this program is gone: it passes on SIGINT and SIGTERM, though only to the shell
 * between, but dies of SIGHUP and SIGKILL without a word. A program that node started directly has no such starter:
 * whoever starts it so (a service manager, `nohup`) signals it.
 */
import process from "node:process";
import { commandOf, isAlive, parentOf } from "./process-identity.ts";

const askEveryMs = 500;

/**
 * Calls `end` once, when what stands between this program and its npm has ended, or npm itself. Does not keep the
 * process.
 */
export function onStarterGone(end: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const starters = startersOf(process.ppid);
  const asking = setInterval(() => {
    // On Windows the id stays that of the parent that ended.
    if (process.ppid === starters[0] && starters.every(isAlive)) return;
    clearInterval(asking);
    end();
  }, askEveryMs);
  asking.unref();
}

/**
 * The parent, and npm above it where that is a shell of npm's: most shells replace themselves by the program, some do
 * not.
 */
function startersOf(parent: number): number[] {
  const above = isNpm(parent) ? null : parentOf(parent);
  return above !== null && isNpm(above) ? [parent, above] : [parent];
}

function isNpm(pid: number): boolean {
  return /^npm |npm-cli/.test(commandOf(pid) ?? "");
}
