/**
 * The one folder that holds everything a local stack keeps: its format version, its keys, and a lock that only one
 * launcher can hold. What lies in the sub-folders belongs to the children.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readRun } from "./run-file.ts";

/** Raised with each change that an older launcher could not read; `migrations` then gets the step to it. */
export const stateFormat = 1;

/** From format n to n + 1. */
const migrations: Record<number, (folder: string) => void> = {};

export type State = {
  folder: string;
  operatorKey: string;
  callbackSecret: string;
  /** Released by the system when this process ends, however it ends. */
  release: () => void;
};

/** A start that cannot go on, in words for the person who started it. */
export class StartError extends Error {}

/** @throws StartError where the folder is in use, or of a format this version does not know */
export function openState(folder: string): State {
  const release = lock(folder, makeFolder(folder));
  try {
    migrate(folder);
    return {
      folder,
      operatorKey: secret(path.join(folder, "operator-key"), "sk-operator-"),
      callbackSecret: secret(path.join(folder, "callback-secret"), ""),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** @returns the file that is locked */
function makeFolder(folder: string): DatabaseSync {
  try {
    mkdirSync(path.join(folder, "logs"), { recursive: true, mode: 0o700 });
    return new DatabaseSync(path.join(folder, "lock"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `${folder} cannot be the state folder (${reason}): choose another with --state`,
    );
  }
}

/** An exclusive lock of SQLite is the system's own file lock: it cannot go stale. */
function lock(folder: string, database: DatabaseSync): () => void {
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;");
  } catch {
    database.close();
    const run = readRun(folder);
    const where = run === null ? "" : ` at ${run.url} (process ${run.pids["launcher"]})`;
    throw new StartError(
      `a stack is already running on ${folder}${where}: stop it first, or choose another folder with --state`,
    );
  }
  return () => database.close();
}

function migrate(folder: string): void {
  const file = path.join(folder, "version");
  let format = existsSync(file) ? Number(readFileSync(file, "utf8").trim()) : stateFormat;
  if (!Number.isInteger(format) || format < 1) {
    throw new StartError(
      `${file} does not hold a format number: is ${folder} a state folder of LLM OS?`,
    );
  }
  if (format > stateFormat) {
    throw new StartError(
      `${folder} was written by a newer LLM OS (format ${format}, this one knows ${stateFormat}): ` +
        "update, or choose another folder with --state",
    );
  }
  for (; format < stateFormat; format += 1) migrations[format]?.(folder);
  writeFileSync(file, `${stateFormat}\n`);
}

/** Made at first start, and readable by its owner alone. */
function secret(file: string, prefix: string): string {
  if (!existsSync(file)) {
    writeFileSync(file, `${prefix}${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
  }
  chmodSync(file, 0o600);
  const text = readFileSync(file, "utf8").trim();
  if (text === "")
    throw new StartError(`${file} is empty: remove it, and the next start makes another`);
  return text;
}
