/**
 * Asks a Hugging Face hub where a file lies and what its bytes must be, without fetching it: a HEAD on
 * `/{repository}/resolve/{revision}/{path}`. Large files answer with a redirect that carries their sha256 as
 * `x-linked-etag`; small ones carry git's object id as their entity tag. Both name the commit as `x-repo-commit`.
 */
import type { Dispatcher } from "undici";
import { FetchProblem, type Meaning } from "./fetch-problem.ts";
import { type Answer, call, isRedirect, redirectTarget, sameOrigin } from "./http.ts";

const redirectsMax = 5;

export type Hub = {
  /** As in HF_ENDPOINT, with or without a slash at its end. */
  endpoint: string;
  /** As in HF_TOKEN; sent to the endpoint's origin alone. */
  token: string | null;
  dispatcher: Dispatcher;
};

export type HubDigest = { kind: "sha256" | "git-blob"; hex: string };

export type HubFile = {
  path: string;
  /** Where the bytes are; elsewhere than the hub for large files, then often for a limited time. */
  url: string;
  headers: Record<string, string>;
  digest: HubDigest;
  bytes: number | null;
  commit: string;
};

export type HubAddress = { repository: string; revision: string; path: string };

function encode(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function resolveUrl(hub: Hub, { repository, revision, path }: HubAddress): string {
  const base = hub.endpoint.replace(/\/+$/, "");
  return `${base}/${encode(repository)}/resolve/${encodeURIComponent(revision)}/${encode(path)}`;
}

function parseDigest(etag: string | null): HubDigest | null {
  const hex = etag?.replace(/^W\//, "").replaceAll('"', "").toLowerCase() ?? "";
  if (/^[0-9a-f]{64}$/.test(hex)) return { kind: "sha256", hex };
  if (/^[0-9a-f]{40}$/.test(hex)) return { kind: "git-blob", hex };
  return null;
}

/** What a refusal means, from its status and the hub's own `x-error-code`. */
function refusal(answer: Answer, { repository, revision, path }: HubAddress): FetchProblem {
  const byName: Record<string, Meaning> = {
    GatedRepo: {
      words: "asks for its terms to be accepted",
      advice: "accept them on the hub and set HF_TOKEN",
    },
    RepoNotFound: {
      words: "does not exist or is private",
      advice: "check the id, or set HF_TOKEN",
    },
    RevisionNotFound: { words: `has no revision ${revision}` },
    EntryNotFound: { words: `has no file ${path}` },
  };
  const byStatus: Record<number, Meaning> = {
    401: {
      words: "needs a permission (HTTP 401)",
      advice: "set HF_TOKEN to a token that may read it",
    },
    403: {
      words: "may not be read with this token or from this network (HTTP 403)",
      advice: "check HF_TOKEN",
    },
    404: { words: `has no file ${path} at revision ${revision} (HTTP 404)` },
    429: { words: "is asked too often (HTTP 429)", advice: "wait, or set HF_TOKEN" },
  };
  const code = answer.header("x-error-code");
  const { words, ...more }: Meaning = byName[code ?? ""] ??
    byStatus[answer.status] ?? { words: `gave HTTP ${answer.status} for ${path}` };
  const final = answer.status < 500 && ![408, 429].includes(answer.status);
  // Mirrors may answer 404 without the hub's code.
  const absent = answer.status === 404 && [null, "EntryNotFound"].includes(code);
  return new FetchProblem(`${repository} ${words}`, { ...more, final, absent });
}

type Seen = { digest: HubDigest | null; bytes: number | null; commit: string | null };

function note(seen: Seen, answer: Answer): Seen {
  const size = answer.header("x-linked-size");
  return {
    digest: seen.digest ?? parseDigest(answer.header("x-linked-etag")),
    bytes: seen.bytes ?? (size === null ? null : Number(size)),
    commit: seen.commit ?? answer.header("x-repo-commit"),
  };
}

/** @throws FetchProblem, or a network error */
export async function locateHubFile(
  hub: Hub,
  address: HubAddress,
  signal: AbortSignal,
): Promise<HubFile> {
  const authorization: Record<string, string> =
    hub.token === null ? {} : { authorization: `Bearer ${hub.token}` };
  let url = resolveUrl(hub, address);
  let seen: Seen = { digest: null, bytes: null, commit: null };
  for (let hop = 0; hop <= redirectsMax; hop += 1) {
    const answer = await call({
      method: "HEAD",
      url,
      headers: authorization,
      dispatcher: hub.dispatcher,
      signal,
    });
    await answer.body.dump();
    seen = note(seen, answer);
    if (isRedirect(answer.status)) {
      const target = redirectTarget(answer, url);
      if (!sameOrigin(target, url)) return found(address, seen, { url: target, headers: {} });
      url = target;
      continue;
    }
    if (answer.status !== 200) throw refusal(answer, address);
    const length = answer.header("content-length");
    const own: Seen = {
      ...seen,
      digest: seen.digest ?? parseDigest(answer.header("etag")),
      bytes: seen.bytes ?? (length === null ? null : Number(length)),
    };
    return found(address, own, { url, headers: authorization });
  }
  throw new FetchProblem(`${address.path} is redirected more than ${redirectsMax} times`, {
    final: true,
  });
}

function found(
  { path, repository }: HubAddress,
  { digest, bytes, commit }: Seen,
  place: { url: string; headers: Record<string, string> },
): HubFile {
  if (digest === null || commit === null || !/^[0-9a-f]{40}$/.test(commit)) {
    throw new FetchProblem(
      `The hub names no digest and commit for ${repository}/${path}, so it cannot be verified`,
      { final: true, advice: "check HF_ENDPOINT" },
    );
  }
  return { path, ...place, digest, bytes, commit };
}
