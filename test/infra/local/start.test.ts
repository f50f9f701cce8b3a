/** What the command line refuses, before any process is started. */
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, expect, it, onTestFinished } from "vitest";
import { temporaryFolder } from "./temporary-folder.ts";

const local = path.resolve(import.meta.dirname, "../../../infra/local");

function start(...flags: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(local, "start.ts"), ...flags],
    { encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

describe("npm start", () => {
  it("refuses a port that is taken, naming it and the way out", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const { status, stderr } = start("--state", temporaryFolder(), "--port", String(port));
    expect(status).toBe(1);
    expect(stderr).toMatch(new RegExp(`^port ${port} is taken by another program: .*--port N\n$`));
  });

  it("refuses a state folder of a newer version in one line", () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, "version"), "1000");
    const { status, stderr } = start("--state", folder, "--port", "0");
    expect(status).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(/newer LLM OS/);
  });

  it.each([
    ["--port", "99999"],
    ["--port", "x"],
    ["--workers", "0"],
  ])("refuses %s %s", (flag, value) => {
    const { status, stderr } = start(flag, value, "--state", temporaryFolder());
    expect(status).toBe(1);
    expect(stderr).toMatch(/expected a whole number/);
  });
});
