import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, expect, it } from "vitest";
import { openState, StartError, stateFormat } from "../../../infra/local/state-folder.ts";
import { writeRun } from "../../../infra/local/run-file.ts";
import { temporaryFolder } from "./temporary-folder.ts";

describe("the state folder", () => {
  it("gets keys at its first opening and keeps them", () => {
    const folder = temporaryFolder();
    const first = openState(folder);
    first.release();
    const second = openState(folder);
    second.release();
    expect(first.operatorKey).toMatch(/^sk-operator-[\w-]{32}$/);
    expect(first.callbackSecret).not.toBe(first.operatorKey);
    expect([second.operatorKey, second.callbackSecret]).toEqual([
      first.operatorKey,
      first.callbackSecret,
    ]);
    expect(readFileSync(path.join(folder, "version"), "utf8")).toBe(`${stateFormat}\n`);
  });

  it.skipIf(process.platform === "win32")("shows its keys to its owner alone", () => {
    const folder = temporaryFolder();
    openState(folder).release();
    for (const name of ["operator-key", "callback-secret"]) {
      expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600);
    }
  });

  it("is held by one launcher, and says where that is", () => {
    const folder = temporaryFolder();
    const held = openState(folder);
    writeRun(folder, {
      url: "http://127.0.0.1:4321",
      startedAt: new Date(0).toISOString(),
      ready: true,
      ports: { edge: 4321, queue: 1, workerHealth: [2] },
      pids: { launcher: 99 },
    });
    expect(() => openState(folder)).toThrow(
      /already running on .*http:\/\/127\.0\.0\.1:4321 \(process 99\).*--state/,
    );
    held.release();
    openState(folder).release();
  });

  it.each([
    ["99", /newer LLM OS \(format 99/],
    ["a letter", /does not hold a format number/],
    ["0", /does not hold a format number/],
  ])("of format %j is refused", (version, message) => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, "version"), version);
    expect(() => openState(folder)).toThrow(StartError);
    expect(() => openState(folder)).toThrow(message);
  });

  it("with an empty key says what to do", () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, "operator-key"), "");
    expect(() => openState(folder)).toThrow(/operator-key is empty: remove it/);
  });
});
