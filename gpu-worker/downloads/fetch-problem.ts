/**
 * Why a source did not give a file, and what the operator can do. `final` tells a problem that another try would meet
 * again (no such file, no permission, wrong bytes, full disk) from one that may pass (a cut connection, a busy server).
 */
type FetchProblemOptions = { final: boolean; advice?: string; absent?: boolean; cause?: unknown };

export class FetchProblem extends Error {
  readonly final: boolean;
  /** Whether the source is there and has no such file. */
  readonly absent: boolean;
  /** Without the advice, which callers could not follow. */
  readonly words: string;

  constructor(words: string, options: FetchProblemOptions) {
    const { advice, cause } = options;
    const message = advice === undefined ? words : `${words}: ${advice}`;
    super(message, cause === undefined ? undefined : { cause });
    this.name = "FetchProblem";
    this.words = words;
    this.final = options.final;
    this.absent = options.absent ?? false;
  }
}

export type Meaning = { words: string; advice?: string };

const notWritable = {
  words: "the state folder may not be written",
  advice: "check its permissions",
} as const;

const diskProblems: Record<string, Meaning> = {
  ENOSPC: { words: "the disk is full", advice: "free some space" },
  EDQUOT: { words: "the disk quota is used up", advice: "free some space" },
  EACCES: notWritable,
  EPERM: notWritable,
  EROFS: {
    words: "the state folder is on a read-only disk",
    advice: "choose another with LLM_OS_STATE",
  },
};

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const own = "code" in error && typeof error.code === "string" ? [error.code] : [];
  const inner = error instanceof AggregateError ? error.errors.flatMap(codesOf) : [];
  return [...own, ...inner, ...codesOf(error.cause)];
}

const unresolved = {
  words: "its name does not resolve",
  advice: "is this machine online?",
} as const;

const networkProblems: Record<string, Meaning> = {
  ENOTFOUND: unresolved,
  EAI_AGAIN: unresolved,
  ECONNREFUSED: { words: "it refuses connections" },
  UND_ERR_CONNECT_TIMEOUT: { words: "it does not answer" },
  UND_ERR_HEADERS_TIMEOUT: { words: "it does not answer" },
  UND_ERR_BODY_TIMEOUT: { words: "it stopped sending" },
  UND_ERR_SOCKET: { words: "it closed the connection" },
  ECONNRESET: { words: "it closed the connection" },
};

/** Any error met while fetching `what` as a problem of ours. Those already in words pass through. */
export function asFetchProblem(error: unknown, what: string): FetchProblem {
  if (error instanceof FetchProblem) return error;
  const codes = codesOf(error);
  const disk = codes.map((code) => diskProblems[code]).find((each) => each !== undefined);
  if (disk !== undefined) {
    const { words, ...more } = disk;
    return new FetchProblem(`Cannot store ${what}: ${words}`, {
      ...more,
      final: true,
      cause: error,
    });
  }
  const network = codes.map((code) => networkProblems[code]).find((each) => each !== undefined);
  const told = error instanceof Error ? error.message : String(error);
  const { words, ...more } = network ?? { words: told };
  return new FetchProblem(`Cannot fetch ${what}: ${words}`, {
    ...more,
    final: false,
    cause: error,
  });
}
