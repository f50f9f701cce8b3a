import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";

const guard = path.resolve(import.meta.dirname, "../../../infra/local/require-node-24.mjs");

function run(node: string) {
  return spawnSync(node, ["--import", guard, "-e", "console.log('went on')"], { encoding: "utf8" });
}

/** A Node on this machine that is not the project's own. */
function olderNode(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  return folders
    .filter((folder) => !folder.includes("node_modules"))
    .map((folder) => path.join(folder, process.platform === "win32" ? "node.exe" : "node"))
    .filter((file) => existsSync(file))
    .find((file) => {
      const { stdout } = spawnSync(file, ["--version"], { encoding: "utf8" });
      return Number(/^v(\d+)/.exec(stdout)?.[1] ?? 24) < 24;
    });
}

it("lets Node 24 pass", () => {
  const { status, stdout } = run(process.execPath);
  expect([status, stdout]).toEqual([0, "went on\n"]);
});

it("tells an older Node what is missing, and goes no further", ({ skip }) => {
  const older = olderNode();
  if (older === undefined) {
    console.log("skipped: this machine has no Node older than 24");
    skip();
    return;
  }
  const { status, stdout, stderr } = run(older);
  expect(status).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/needs Node 24 or newer; this is Node \d+/);
});
