/**
 * The Python that has a peer's packages, for tests that need it: PEER_PYTHON, or the virtual environment of a script in
 * bench/peers.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";

export type PeerPackages = {
  /** As they are imported. */
  modules: readonly string[];
  /** What is skipped without them, and which script installs them. */
  what: string;
  script: string;
  /** Of the virtual environment that it makes, below `.bench`. */
  folder: string;
};

/** Null: not here; said in the log. */
export function peerPython({ modules, what, script, folder }: PeerPackages): string | null {
  const installed = path.resolve(import.meta.dirname, "..", ".bench", folder, "bin/python");
  const python = process.env["PEER_PYTHON"] ?? (existsSync(installed) ? installed : null);
  if (python !== null && hasModules(python, modules)) return python;
  console.info(`Skipped: ${what}, which bench/peers/${script} installs`);
  return null;
}

function hasModules(python: string, modules: readonly string[]): boolean {
  try {
    // Found, not imported, which takes seconds.
    const finding =
      "import sys; from importlib.util import find_spec; sys.exit(None in map(find_spec, sys.argv[1:]))";
    execFileSync(python, ["-c", finding, ...modules], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
