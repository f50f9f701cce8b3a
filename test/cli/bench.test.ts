/** `npm run bench` without a name. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";

const folder = path.resolve(import.meta.dirname, "../../bench");

it("lists the benchmarks", () => {
  const run = spawnSync(process.execPath, [path.join(folder, "run.ts")], { encoding: "utf8" });
  expect({ status: run.status, stderr: run.stderr }).toEqual({ status: 0, stderr: "" });
  const names = readdirSync(folder)
    .filter((file) => file.endsWith(".ts") && file !== "run.ts" && file !== "bench.ts")
    .map((file) => path.basename(file, ".ts"));
  for (const name of names) expect(run.stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
});
