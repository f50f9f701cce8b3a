/**
 * Why a source did not give a file, in words that say what to do. `final` tells a problem that another try would meet
 * again (no such file, no permission, wrong bytes, full disk) from one that may pass (a cut connection, a busy server).
 */
export class FetchProblem extends Error {
  readonly final: boolean;
  /** Whether the source is there and has no such file. */
  readonly absent: boolean;

  constructor(message: string, options: { final: boolean; absent?: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "FetchProblem";
    this.final = options.final;
    this.absent = options.absent ?? false;
  }
}

const diskProblems: Record<string, string> = {
  ENOSPC: "the disk is full: free some space",
  EDQUOT: "the disk quota is used up: free some space",
  EACCES: "the state folder may not be written: check its permissions",
  EPERM: "the state folder may not be written: check its permissions",
  EROFS: "the state folder is on a read-only disk: choose another with LLM_OS_STATE",
};

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const own = "code" in error && typeof error.code === "string" ? [error.code] : [];
  const inner = error instanceof AggregateError ? error.errors.flatMap(codesOf) : [];
  return [...own, ...inner, ...codesOf(error.cause)];
}

const networkProblems: Record<string, string> = {
  ENOTFOUND: "its name does not resolve: is this machine online?",
  EAI_AGAIN: "its name does not resolve: is this machine online?",
  ECONNREFUSED: "it refuses connections",
  UND_ERR_CONNECT_TIMEOUT: "it does not answer",
  UND_ERR_HEADERS_TIMEOUT: "it does not answer",
  UND_ERR_BODY_TIMEOUT: "it stopped sending",
  UND_ERR_SOCKET: "it closed the connection",
  ECONNRESET: "it closed the connection",
};

/** Any error met while fetching `what` as a problem of ours. Those already in words pass through. */
export function asFetchProblem(error: unknown, what: string): FetchProblem {
  if (error instanceof FetchProblem) return error;
  const codes = codesOf(error);
  const disk = codes.map((code) => diskProblems[code]).find((text) => text !== undefined);
  if (disk !== undefined) {
    return new FetchProblem(`Cannot store ${what}: ${disk}`, { final: true, cause: error });
  }
  const network = codes.map((code) => networkProblems[code]).find((text) => text !== undefined);
  const words = network ?? (error instanceof Error ? error.message : String(error));
  return new FetchProblem(`Cannot fetch ${what}: ${words}`, { final: false, cause: error });
}
