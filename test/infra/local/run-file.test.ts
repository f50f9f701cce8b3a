import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { readRun, removeRun, type Run, writeRun } from "../../../infra/local/run-file.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run: Run = {
  url: "http://127.0.0.1:8787",
  startedAt: "2026-01-02T03:04:05.000Z",
  ready: false,
  ports: { edge: 8787, queue: 4001, workerHealth: [4002, 4003] },
  pids: { launcher: 1, edge: 2, workerd: null, queue: 4, worker: 5, "worker-2": 6 },
};

it("is read back as written, and leaves nothing else behind", () => {
  const folder = temporaryFolder();
  writeRun(folder, run);
  writeRun(folder, { ...run, ready: true });
  expect(readRun(folder)).toEqual({ ...run, ready: true });
  expect(readdirSync(folder)).toEqual(["run.json"]);
  removeRun(folder);
  expect(readRun(folder)).toBeNull();
});

it.each(["", "{", "[]", '{"url": "http://127.0.0.1:1"}'])("%j is taken for no run", (text) => {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, "run.json"), text);
  expect(readRun(folder)).toBeNull();
});
