/** Other projects' command lines, run by this Node from their packages: wrangler and cdk. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";

export const root = path.resolve(import.meta.dirname, "..");

export type Program = { package: "wrangler" | "aws-cdk"; bin: string };
export const wrangler: Program = { package: "wrangler", bin: "bin/wrangler.js" };
export const cdk: Program = { package: "aws-cdk", bin: "bin/cdk" };

export type RunOptions = { env?: Record<string, string>; cwd?: string };

/** wrangler keeps quiet about itself and sends nothing that was not asked for. */
export const quietWrangler: Record<string, string> = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "false",
  DO_NOT_TRACK: "1",
};

/** The same, with everything it writes kept in `folder` instead of the home folder. */
export function wranglerHome(folder: string): Record<string, string> {
  return {
    ...quietWrangler,
    WRANGLER_LOG_PATH: path.join(folder, "logs", "wrangler"),
    XDG_CONFIG_HOME: path.join(folder, "config"),
  };
}

/** Runs it with this terminal. @throws where it fails; it has said why */
export async function runProgram(program: Program, args: string[], options: RunOptions = {}) {
  const child = start(program, args, options, "inherit");
  const code = await exitCode(child);
  if (code !== 0) throw new Error(`${program.package} ${args.join(" ")} failed (${code})`);
}

/** @returns what it wrote to its standard output. @throws with everything it said, where it fails */
export async function outputOf(program: Program, args: string[], options: RunOptions = {}) {
  const child = start(program, args, options, "pipe");
  const [output, errors, code] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
    exitCode(child),
  ]);
  if (code === 0) return output;
  throw new Error(`${program.package} ${args.join(" ")} failed (${code}):\n${output}${errors}`);
}

function start(program: Program, args: string[], options: RunOptions, output: "inherit" | "pipe") {
  const manifest = createRequire(import.meta.url).resolve(`${program.package}/package.json`);
  return spawn(process.execPath, [path.join(path.dirname(manifest), program.bin), ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", output, output],
    windowsHide: true,
  });
}

function exitCode(child: ReturnType<typeof start>): Promise<number | string | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("exit", (code, signal) => resolve(code ?? signal));
  });
}
