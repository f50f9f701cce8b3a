/** What a deploy uploads, against Cloudflare's limits for accounts that pay nothing. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { openEdgeBundle } from "../../../infra/local/edge-bundle.ts";
import { temporaryFolder } from "../local/temporary-folder.ts";

const scriptBytesMax = 3 * 1024 * 1024;
const assetBytesMax = 25 * 1024 * 1024;

function filesIn(folder: string): string[] {
  return readdirSync(folder).map((name) => path.join(folder, name));
}

it("fits: the script as gzip, and each asset", async () => {
  const { modules, assets } = await openEdgeBundle(temporaryFolder(), () => {});
  const script = filesIn(modules)
    .filter((file) => /\.(js|wasm)$/.test(file))
    .reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
  const sizes = filesIn(assets.directory).map((file) => statSync(file).size);
  console.info(`The Worker is ${script} bytes as gzip; its assets are ${sizes.join(" + ")}`);
  expect(script).toBeLessThan(scriptBytesMax);
  // The bundle is an asset, and no part of the script that every isolate loads.
  expect(sizes).toHaveLength(1);
  expect(Math.max(...sizes)).toBeLessThan(assetBytesMax);
});
