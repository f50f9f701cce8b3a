/** `npm run worker`: help, and what it says of settings that cannot be used. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { expect, it, onTestFinished } from "vitest";

const script = path.resolve(import.meta.dirname, "../../gpu-worker/main.ts");

function worker(words: string[], environment: Record<string, string> = {}) {
  return spawnSync(process.execPath, [script, ...words], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
}

it("explains itself", () => {
  const { status, stdout, stderr } = worker(["--help"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^Usage: npm run worker --[\s\S]*install-cuda/);
});

it.each([[[]], [["install-cuda", "--check"]]])("%j refuses a file as its state folder", (words) => {
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, "file"), "");
  const { status, stderr } = worker(words, { LLM_OS_STATE: path.join(folder, "file/below") });
  expect(status).toBe(1);
  expect(stderr).toContain("LLM_OS_STATE has a value that cannot be used");
  expect(stderr).not.toMatch(/^\s+at /m);
});
