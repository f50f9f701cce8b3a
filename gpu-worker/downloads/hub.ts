/**
 * Fetches a model's files from a Hugging Face hub: all are located first, which pins one commit and gives the total,
 * then brought one by one, each resumed where it stopped, verified against the hub's digest and the manifest's, and
 * only then renamed to its own name.
 */
import { mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import pRetry, { AbortError } from "p-retry";
import type { ModelFile, ModelManifest } from "#contract/catalogue.ts";
import { describeFile, gitBlobOfFile } from "../files/file-digest.ts";
import { asFetchProblem, FetchProblem } from "./fetch-problem.ts";
import { type Hub, type HubAddress, type HubFile, locateHubFile } from "./hub-file.ts";
import type { Fetched, FetchedFile, FetchContext } from "./source.ts";
import { discardPartial, transfer } from "./transfer.ts";

export type HubSource = { repository: string; revision: string };

/**
 * A transfer that has begun is worth patience; a hub that does not answer at all leaves its turn to the next source.
 */
const retries = { first: 1, later: 4 };

type Attempts<T> = { what: string; retries: number; attempt: () => Promise<T> };

/** Tries again what may pass. @throws FetchProblem, or the signal's reason */
function retrying<T>(context: FetchContext, { what, attempt, ...options }: Attempts<T>) {
  const once = async () => {
    try {
      return await attempt();
    } catch (error) {
      context.signal.throwIfAborted();
      const problem = asFetchProblem(error, what);
      throw problem.final ? new AbortError(problem) : problem;
    }
  };
  const { signal, retryDelayMs } = context;
  return pRetry(once, { ...options, signal, minTimeout: retryDelayMs, factor: 2 });
}

async function sizeOf(file: string): Promise<number | null> {
  const found = await stat(file).catch(() => null);
  return found === null ? null : found.size;
}

/** The description of `name` in the folder, or null where its bytes are not those the hub means. */
async function verified(
  { folder, signal }: FetchContext,
  name: string,
  { digest, path: asPath }: HubFile,
): Promise<FetchedFile | null> {
  const described = await describeFile(folder, name, signal);
  const hex =
    digest.kind === "sha256"
      ? described.sha256
      : await gitBlobOfFile(path.join(folder, name), signal);
  return hex === digest.hex ? { ...described, path: asPath } : null;
}

function refuseOtherVersion(manifest: ModelFile, sha256: string, where: string): void {
  if (manifest.sha256 === null || manifest.sha256 === sha256) return;
  throw new FetchProblem(`${where} has changed since this release was made`, {
    final: true,
    advice: "to use the new version, put the model's files into a folder of LLM_OS_MODELS",
  });
}

/** Brings the file's bytes into its `.partial` and verifies them. */
async function bring(
  hub: Hub,
  file: HubFile,
  context: FetchContext & { onFile: (bytes: number) => void },
): Promise<FetchedFile> {
  const { folder, signal, onFile } = context;
  const partial = path.join(folder, `${file.path}.partial`);
  await mkdir(path.dirname(partial), { recursive: true });
  // A partial as long as the file needs only to be verified: an earlier process ended between the two.
  const complete = file.bytes !== null && (await sizeOf(partial)) === file.bytes;
  const { resumed } = complete
    ? { resumed: true }
    : await transfer({
        url: file.url,
        headers: file.headers,
        digest: file.digest.hex,
        partial,
        dispatcher: hub.dispatcher,
        signal,
        onBytes: onFile,
      });
  const done = await verified(context, `${file.path}.partial`, file);
  if (done !== null) return done;
  await discardPartial(partial);
  throw new FetchProblem(`${file.path} arrived with other bytes than the hub announces`, {
    final: !resumed,
  });
}

async function fetchFile(
  hub: Hub,
  address: HubAddress,
  manifest: ModelFile,
  context: FetchContext & { onFile: (bytes: number) => void },
): Promise<FetchedFile> {
  const where = `${address.repository}/${address.path}`;
  const target = path.join(context.folder, address.path);
  const file = await locateHubFile(hub, address, context.signal);
  // Large files tell their sha256 beforehand: another version is refused before a byte of it is fetched.
  if (file.digest.kind === "sha256") refuseOtherVersion(manifest, file.digest.hex, where);
  const present = (await sizeOf(target)) !== null;
  const kept = present ? await verified(context, address.path, file) : null;
  const done = kept ?? (await bring(hub, file, context));
  refuseOtherVersion(manifest, done.sha256, where);
  if (kept !== null) return kept;
  await rename(`${target}.partial`, target);
  await discardPartial(`${target}.partial`);
  return done;
}

/** Null for a file that the model may lack, and does. */
async function locateIfThere(
  hub: Hub,
  address: HubAddress,
  { optional = false }: ModelFile,
  signal: AbortSignal,
): Promise<HubFile | null> {
  try {
    return await locateHubFile(hub, address, signal);
  } catch (error) {
    if (optional && error instanceof FetchProblem && error.absent) return null;
    throw error;
  }
}

/** @throws FetchProblem, or the signal's reason; what has arrived stays for the next try */
export async function fetchFromHub(
  hub: Hub,
  manifest: ModelManifest,
  { repository, revision }: HubSource,
  context: FetchContext,
): Promise<Fetched> {
  const located: { file: ModelFile; at: HubFile }[] = [];
  for (const file of manifest.files) {
    const what = `${repository}/${file.path}`;
    // The first answer says which commit the revision is; the others are of that commit, whatever is pushed meanwhile.
    const address = { repository, revision: located[0]?.at.commit ?? revision, path: file.path };
    const attempt = () => locateIfThere(hub, address, file, context.signal);
    const patience = located.length === 0 ? retries.first : retries.later;
    const at = await retrying(context, { what, retries: patience, attempt });
    if (at !== null) located.push({ file, at });
    // An earlier try may have brought it from another commit.
    else await rm(path.join(context.folder, file.path), { force: true });
  }
  const commit = located[0]?.at.commit ?? revision;
  const sizes = located.map(({ at }) => at.bytes);
  const total = sizes.includes(null) ? null : sizes.reduce<number>((sum, n) => sum + (n ?? 0), 0);
  const files: FetchedFile[] = [];
  let before = 0;
  for (const { file } of located) {
    const onFile = (bytes: number) => context.onProgress(before + bytes, total);
    const address = { repository, revision: commit, path: file.path };
    const what = `${repository}/${file.path}`;
    const attempt = () => fetchFile(hub, address, file, { ...context, onFile });
    const fetched = await retrying(context, { what, retries: retries.later, attempt });
    files.push(fetched);
    before += fetched.bytes;
    context.onProgress(before, total);
  }
  return { source: `hub ${repository}`, revision: commit, files };
}
