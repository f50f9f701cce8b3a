/** What a run says where the process of a test file dies. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";

const dies = `
import { it } from "vitest";
it("lives", () => undefined);
it("dies", async () => {
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => undefined);
});
`;

it("names the file whose process died, and how it ended", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-reporter-"));
  try {
    writeFileSync(path.join(folder, "dies.test.js"), dies);
    const vitest = path.join(createRequire(import.meta.url).resolve("vitest/package.json"), "..");
    const reporter = path.join(import.meta.dirname, "closing-line-reporter.ts");
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [path.join(vitest, "vitest.mjs"), "run", "--root", ".", `--reporter=${reporter}`],
      { cwd: folder, encoding: "utf8" },
    );
    expect(stderr).toMatch(/^worker process \d+ ended by SIGKILL$/m);
    expect(stdout).toMatch(/^dies\.test\.js never finished: \d of 2 tests have no result$/m);
    expect(stdout).toMatch(/\d passed, 1 failed, 0 skipped\n$/);
    expect(status).toBe(1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
