/**
 * The edge as workerd runs it: modules bundled by wrangler, its assets and the options of wrangler.toml, kept in the
 * cache by a digest of everything they are made from. A warm start reads two files and imports no
 * wrangler.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import process from "node:process";
import * as z from "zod";
import { outputOf, root, wrangler, wranglerHome } from "../run-program.ts";

const config = path.join(root, "wrangler.toml");
/** Whatever the bundle is made from, relative to the root. */
const ingredients = ["edge", "contract", "wrangler.toml", "package-lock.json"];

/** Miniflare's options of one worker, as wrangler derives them; only what is changed here is named. */
const OptionsFile = z.looseObject({
  assets: z.looseObject({ directory: z.string() }),
  bindings: z.record(z.string(), z.unknown()),
  serviceBindings: z.record(z.string(), z.unknown()),
});
type OptionsFile = z.infer<typeof OptionsFile>;
export type AssetOptions = OptionsFile["assets"];
export type WorkerOptions = Pick<OptionsFile, "bindings" | "serviceBindings"> &
  Record<string, unknown>;

/**
 * The assets apart from the other options: Miniflare puts a router of its own before a worker that has assets, which
 * costs each request 0.2 ms of CPU.
 */
export type EdgeBundle = { modules: string; options: WorkerOptions; assets: AssetOptions };

/** @returns sha256 over names and bytes of all ingredients, the first 16 hex digits */
export function bundleDigest(folder: string = root): string {
  const hash = createHash("sha256");
  for (const file of ingredients.flatMap((name) => filesUnder(folder, name))) {
    const bytes = readFileSync(path.join(folder, file));
    hash.update(`${file}\n${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex").slice(0, 16);
}

/** Relative paths with forward slashes, in a fixed order; `name` is a file or a folder. */
function filesUnder(folder: string, name: string): string[] {
  if (statSync(path.join(folder, name)).isFile()) return [name];
  return readdirSync(path.join(folder, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .map((file) => file.replaceAll(path.sep, "/"))
    .toSorted();
}

/** The cached bundle, or a new one; `onBundling` is called where that takes seconds. */
export async function openEdgeBundle(cache: string, onBundling: () => void): Promise<EdgeBundle> {
  const bundles = path.join(cache, "edge-bundle");
  const folder = path.join(bundles, bundleDigest());
  if (!existsSync(folder)) {
    onBundling();
    await makeBundle(cache, folder);
    forgetOthers(bundles, path.basename(folder));
  }
  const { assets, ...options } = OptionsFile.parse(
    JSON.parse(readFileSync(path.join(folder, "options.json"), "utf8")),
  );
  return {
    modules: path.join(folder, "modules"),
    options,
    assets: { ...assets, directory: path.join(folder, "assets") },
  };
}

async function makeBundle(cache: string, folder: string): Promise<void> {
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  const outdir = path.join(unfinished, "modules");
  const [options] = await Promise.all([
    readWorkerOptions(),
    outputOf(wrangler, ["deploy", "--dry-run", "-c", config, "--outdir", outdir], {
      env: wranglerHome(cache),
    }),
  ]);
  cpSync(options.assets.directory, path.join(unfinished, "assets"), { recursive: true });
  writeFileSync(path.join(unfinished, "options.json"), JSON.stringify(options));
  install(unfinished, folder);
}

/** Of stacks that make the same at once, the first to finish wins. */
function install(unfinished: string, folder: string): void {
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(unfinished, { recursive: true, force: true });
  }
}

async function readWorkerOptions(): Promise<OptionsFile> {
  const { unstable_getMiniflareWorkerOptions } = await import("wrangler");
  return OptionsFile.parse(unstable_getMiniflareWorkerOptions(config).workerOptions);
}

/** Not the kept one, nor what another stack is just making of the same. */
function forgetOthers(bundles: string, kept: string): void {
  for (const name of readdirSync(bundles)) {
    if (!name.startsWith(kept)) rmSync(path.join(bundles, name), { recursive: true, force: true });
  }
}
