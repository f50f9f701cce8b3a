import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { isAlive } from "../../../infra/local/process-identity.ts";
import { SupervisedChild } from "../../../infra/local/supervised-child.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A child that runs `source`, and what was seen of it. */
function supervise(source: string) {
  const folder = temporaryFolder();
  const script = path.join(folder, "child.mjs");
  writeFileSync(script, source);
  const pids: number[] = [];
  const ends: [reason: string, failures: number][] = [];
  const listening = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let starts = 0;
  const child = new SupervisedChild(
    { name: "child", script, env: process.env, logFile: path.join(folder, "log"), drains: false },
    {
      onStart: (pid) => pids.push(pid),
      onEnd: (reason, failures) => ends.push([reason, failures]),
      onMessage: () => listening[starts++]?.resolve(),
    },
  );
  child.start();
  return { child, pids, ends, listening: (nth: number) => listening[nth]?.promise };
}

const obedient = `process.on("disconnect", () => process.exit(0)); process.send({ type: "listening" });`;
const stubborn =
  `setInterval(() => {}, 1000); process.on("disconnect", () => {}); ` +
  `process.send({ type: "listening" });`;

it("starts its process again when it is killed", async () => {
  const { child, pids, ends, listening } = supervise(obedient);
  await listening(0);
  process.kill(pids[0] ?? 0, "SIGKILL");
  await listening(1);
  expect(pids).toHaveLength(2);
  expect(ends).toEqual([["SIGKILL", 1]]);
  await child.stop(5_000);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(ends).toHaveLength(1);
});

it("kills a process that does not end by itself", async () => {
  const { child, pids, listening } = supervise(stubborn);
  await listening(0);
  await child.stop(100);
  expect(pids.filter(isAlive)).toEqual([]);
});
