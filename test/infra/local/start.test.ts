/** What the command line refuses, before any process is started. */
import { execFile, spawnSync } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, expect, it, onTestFinished } from "vitest";
import { writeRun } from "../../../infra/local/run-file.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const local = path.resolve(import.meta.dirname, "../../../infra/local");

const root = path.resolve(local, "../..");

function start(...flags: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(local, "start.ts"), ...flags],
    { encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

function demo(...flags: string[]) {
  const words = [path.join(local, "demo.ts"), ...flags];
  return spawnSync(process.execPath, words, { encoding: "utf8" });
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

  it.each(["file", "file/below"])("refuses %s as its state folder in one line", (name) => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, "file"), "");
    const { status, stdout, stderr } = start("--state", path.join(folder, name), "--port", "0");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(
      /^\S+ cannot be the state folder \(.*\): choose another with --state\n$/,
    );
  });

  it("says what to run where only a worker's packages are installed", () => {
    const folder = temporaryFolder();
    for (const name of ["infra", "contract", "package.json"]) {
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    }
    mkdirSync(path.join(folder, "node_modules"));
    for (const name of ["commander", "zod"]) {
      const installed = path.join(root, "node_modules", name);
      symlinkSync(installed, path.join(folder, "node_modules", name), "junction");
    }
    const script = path.join(folder, "infra/local/start.ts");
    const flags = [script, "--state", path.join(folder, "state"), "--port", "0"];
    const { status, stderr } = spawnSync(process.execPath, flags, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "packages are missing that a whole stack needs: run `npm ci`\n",
    });
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

describe("npm run demo", () => {
  it("takes the folder and the port of a stack", () => {
    const { status, stdout } = demo("--help");
    expect(status).toBe(0);
    expect(stdout).toMatch(/--state <dir>[\s\S]*--port <n>/);
    expect(demo("--port", "x").stderr).toMatch(/expected a whole number/);
  });

  it("asks no stack at another port than was said", async () => {
    const server = createHttpServer((_, response) => void response.end("{}"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const folder = temporaryFolder();
    const url = `http://127.0.0.1:${port}`;
    const ports = { edge: port, queue: 1, workerHealth: [2] };
    writeRun(folder, { url, startedAt: "", ready: true, ports, pids: {} });
    const words = [path.join(local, "demo.ts"), "--state", folder, "--port", "1"];
    const errors = await new Promise((resolve) => {
      execFile(process.execPath, words, (_error, _out, text) => resolve(text));
    });
    expect(errors).toContain(`the stack on ${folder} is at ${url}: leave --port out`);
  });

  it("passes on in words why no stack could be started", () => {
    const file = path.join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const { status, stderr } = demo("--state", file);
    expect(status).toBe(1);
    expect(stderr).toContain("cannot be the state folder");
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
