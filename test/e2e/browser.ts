/**
 * A real browser for tests of the pages: the system's Chromium, by CHROMIUM or from the PATH. None is ever
 * downloaded.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { type Browser, chromium } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Nothing of its own goes out. */
const quiet = [
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Null: there is none here; said in the log. */
export const browserPath = findBrowser();

function findBrowser(): string | null {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  const candidates = folders.flatMap((folder) => names.map((name) => path.join(folder, name)));
  const found = process.env["CHROMIUM"] ?? candidates.find((file) => existsSync(file)) ?? null;
  if (found === null) {
    console.info(
      `Skipped: pages in a browser. Install ${names.join(", ")}, or set CHROMIUM to one.`,
    );
  }
  return found;
}

export function openBrowser(executablePath: string): Promise<Browser> {
  // As root, in a container, its sandbox cannot be had.
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args: [...quiet, ...asRoot] });
}
