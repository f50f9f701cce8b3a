/**
 * Notices that the npm which started this program is gone: it passes on SIGINT and SIGTERM, but dies of SIGHUP and SIGKILL without
 * a word. A program that node started directly has no such starter: whoever starts it so (a service manager, `nohup`) signals it.
 */
import process from "node:process";
import { isAlive } from "./process-identity.ts";

const askEveryMs = 500;

/** Calls `end` once, when the parent has ended and npm is above. Does not keep the process. */
export function onStarterGone(end: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const asking = setInterval(() => {
    // On Windows the id stays that of the parent that ended.
    if (process.ppid === parent && isAlive(parent)) return;
    clearInterval(asking);
    end();
  }, askEveryMs);
  asking.unref();
}
