/** `npm run model -- fetch ID`: brings a catalogue model's own files into the cache, whatever form ships embedded. */
import { EnvHttpProxyAgent } from "undici";
import { catalogue, type ModelManifest } from "#contract/catalogue.ts";
import { CodedError } from "#contract/errors.ts";
import { fetchModel, NotFetched } from "../downloads/fetch-model.ts";
import { pythonCommands } from "../downloads/pip-wheel.ts";
import { openDownloadBar } from "./progress-bar.ts";

export type FetchCommand = {
  stateFolder: string;
  hub: { endpoint: string; token: string | null };
  signal: AbortSignal;
};

/** @throws Error that lists what is known */
export function manifestOf(id: string): ModelManifest {
  const found = catalogue.find((entry) => entry.id === id || entry.aliases.includes(id));
  if (found !== undefined) return found;
  const known = catalogue.map((entry) => entry.id).join(", ");
  throw new Error(
    `The catalogue has no model ${id}. It has: ${known}. To serve another, put its files into a ` +
      `folder of their own and set LLM_OS_MODELS to the folder around it`,
  );
}

/** @returns the folder of the model's files */
export async function runFetch(id: string, command: FetchCommand): Promise<string> {
  const manifest = manifestOf(id);
  const dispatcher = new EnvHttpProxyAgent({ headersTimeout: 60_000, bodyTimeout: 60_000 });
  const bar = openDownloadBar(process.stderr);
  try {
    const settings = {
      stateFolder: command.stateFolder,
      hub: { ...command.hub, dispatcher },
      retryDelayMs: 1_000,
      pythonCommands,
    };
    return await fetchModel(manifest, settings, {
      signal: command.signal,
      onProgress: bar.onProgress,
    });
  } catch (error) {
    throw error instanceof CodedError && error.cause instanceof NotFetched ? error.cause : error;
  } finally {
    bar.stop();
    await dispatcher.close();
  }
}
