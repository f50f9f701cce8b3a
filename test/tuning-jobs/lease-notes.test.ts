/** Whose lease is lost, told by processes that live and die. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, describe, expect, it } from "vitest";
import { LeaseNotes } from "../../gpu-worker/tuning-jobs/lease-notes.ts";
import {
  procTable,
  psTable,
  readProcessTable,
} from "../../gpu-worker/tuning-jobs/process-table.ts";

const state = mkdtempSync(path.join(tmpdir(), "llm-os-leases-"));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(state, { recursive: true, force: true });
});

const processes = readProcessTable();
const lease = (digit: string) => ({
  id: `ftjob-${digit.repeat(32)}`,
  tenant: "operator",
  lease: `lease-${digit}`,
});

async function sleeper(): Promise<ChildProcess & { pid: number }> {
  const child = spawn("sleep", ["600"]);
  children.push(child);
  await once(child, "spawn");
  const { pid } = child;
  if (pid === undefined) throw new Error("no process");
  return Object.assign(child, { pid });
}

async function die(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

describe.skipIf(process.platform !== "linux")("a lease", () => {
  const own = new LeaseNotes(state, processes, process.pid);

  it("is lost where its holder is dead, and only there", async () => {
    const [living, dying] = [await sleeper(), await sleeper()];
    const [kept, lost] = [lease("1"), lease("2")];
    await new LeaseNotes(state, processes, living.pid).hold(kept);
    await new LeaseNotes(state, processes, dying.pid).hold(lost);
    expect(await own.lost()).toEqual([]);
    await die(dying);
    expect(await own.lost()).toEqual([lost]);
    await own.release({ ...lost, lease: "another" });
    expect(await own.lost()).toEqual([lost]);
    await own.release(lost);
    await own.release(kept);
    expect(await own.lost()).toEqual([]);
  });

  it("of a process whose number is another's by now is lost", async () => {
    const child = await sleeper();
    const before = { ...processes, startOf: () => "1" };
    await new LeaseNotes(state, before, child.pid).hold(lease("3"));
    expect(await own.lost()).toEqual([lease("3")]);
    await own.release(lease("3"));
  });

  it("of another machine, or where nothing can be told, lapses by itself", async () => {
    const dead = await sleeper();
    const elsewhere = { ...processes, machine: "another" };
    await new LeaseNotes(state, elsewhere, dead.pid).hold(lease("4"));
    await die(dead);
    expect(await own.lost()).toEqual([]);
    const blind = new LeaseNotes(state, procTable(path.join(state, "no-proc")), process.pid);
    await blind.hold(lease("5"));
    expect(await blind.lost()).toEqual([]);
    await own.release(lease("4"));
  });
});

const hasPs = psTable("a boot").startOf(process.pid) !== null;
if (!hasPs) console.info("Skipped: processes told by ps, which is not here");

describe.skipIf(!hasPs)("by ps, as on macOS", () => {
  it("a process has a start while it lives, and none when it is dead", async () => {
    const { machine, startOf } = psTable("a boot");
    expect(machine).toBe("a boot");
    const child = await sleeper();
    expect(new Date(`${startOf(child.pid)} UTC`).getTime()).toBeGreaterThan(Date.now() - 600_000);
    await die(child);
    expect(startOf(child.pid)).toBeNull();
  });
});
