/** Peers run in processes of their own, so that neither their threads nor their memory meets ours. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { json } from "node:stream/consumers";
import * as z from "zod";

const root = path.resolve(import.meta.dirname, "..", "..");

/** An interpreter with what bench/peers/install-python.sh installs under that name, or null where there is none. */
export function peerPython(name: "python" | "train" = "python"): string | null {
  const named = process.env["PEER_PYTHON"];
  if (named !== undefined && named !== "") return named;
  const installed = path.join(root, ".bench", name, "bin", "python");
  return existsSync(installed) ? installed : null;
}

export const peerScript = (name: string) => path.join(root, "bench", "peers", name);

export type PeerCommand = { program: string; args: string[]; input: unknown };

/** Writes `input` as JSON, reads one JSON document. @throws where the peer fails */
export async function runPeer<T>(
  { program, args, input }: PeerCommand,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], signal });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  child.stdin.end(JSON.stringify(input));
  const [answer, code] = await Promise.all([json(child.stdout).catch(() => null), ended]);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with exit code ${code}`);
  return schema.parse(answer);
}
