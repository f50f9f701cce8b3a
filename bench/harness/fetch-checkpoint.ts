/** A catalogue model's own f32 files, fetched from the sources a user's fetch would try. */
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { EnvHttpProxyAgent } from "undici";
import { catalogue } from "#contract/catalogue.ts";
import { fetchModel } from "../../gpu-worker/downloads/fetch-model.ts";
import { pythonCommands } from "../../gpu-worker/downloads/pip-wheel.ts";
import type { BenchContext } from "../bench.ts";
import { sharedFolder } from "./corpus.ts";

/** The f32 checkpoint: beside the repository, or fetched as a user would. */
export async function checkpointFolder(
  id: string,
  stateFolder: string,
  context: Pick<BenchContext, "print" | "signal">,
): Promise<string> {
  const shared = path.join(sharedFolder, "models", id);
  return existsSync(shared) ? shared : fetchCheckpoint(id, stateFolder, context);
}

/** @returns the folder of the model's files */
export async function fetchCheckpoint(
  id: string,
  stateFolder: string,
  { print, signal }: Pick<BenchContext, "print" | "signal">,
): Promise<string> {
  const manifest = catalogue.find((entry) => entry.id === id);
  if (manifest === undefined) throw new Error(`the catalogue has no ${id}`);
  const dispatcher = new EnvHttpProxyAgent();
  const endpoint = process.env["HF_ENDPOINT"] ?? "https://huggingface.co";
  const hub = { endpoint, token: process.env["HF_TOKEN"] ?? null, dispatcher };
  let step = "";
  try {
    return await fetchModel(
      manifest,
      { stateFolder, hub, retryDelayMs: 1_000, pythonCommands },
      {
        signal,
        onProgress: (progress) => {
          if (progress.step !== step) print(progress.step);
          step = progress.step;
        },
      },
    );
  } finally {
    await dispatcher.close();
  }
}
