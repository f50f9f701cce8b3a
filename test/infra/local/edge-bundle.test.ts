import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { bundleDigest } from "../../../infra/local/edge-bundle.ts";
import { temporaryFolder } from "./temporary-folder.ts";

function sources(): string {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, "edge", "routes"), { recursive: true });
  mkdirSync(path.join(folder, "contract"));
  mkdirSync(path.join(folder, "docs"));
  for (const file of [
    "edge/index.ts",
    "edge/routes/a.ts",
    "contract/limits.ts",
    "docs/api.md",
    "wrangler.toml",
    "package-lock.json",
  ]) {
    writeFileSync(path.join(folder, file), file);
  }
  return folder;
}

it("is the same for the same sources, wherever they lie", () => {
  expect(bundleDigest(sources())).toBe(bundleDigest(sources()));
});

it.each([
  "edge/index.ts",
  "edge/routes/a.ts",
  "contract/limits.ts",
  "wrangler.toml",
  "package-lock.json",
])("changes with %s", (file) => {
  const folder = sources();
  const before = bundleDigest(folder);
  writeFileSync(path.join(folder, file), "other bytes");
  expect(bundleDigest(folder)).not.toBe(before);
});

it("changes when a file is renamed, and not with what the edge is not made of", () => {
  const folder = sources();
  const before = bundleDigest(folder);
  writeFileSync(path.join(folder, "docs", "api.md"), "other words");
  expect(bundleDigest(folder)).toBe(before);
  renameSync(path.join(folder, "edge/routes/a.ts"), path.join(folder, "edge/routes/b.ts"));
  expect(bundleDigest(folder)).not.toBe(before);
});
