/** What every way to a model's files has in common. */

/** A file that is here and verified, as the record of a fetched model keeps it. */
export type FetchedFile = { path: string; sha256: string; bytes: number };

export type Fetched = {
  /** Where the files came from, for people: `hub sentence-transformers/all-MiniLM-L6-v2`. */
  source: string;
  /** The commit or the version the name stood for. */
  revision: string;
  files: FetchedFile[];
};

export type FetchContext = {
  /** An existing folder that the files go into; those of an earlier try may lie there. */
  folder: string;
  signal: AbortSignal;
  /** Bytes of all files that are here; the total is null until it is known. */
  onProgress: (bytes: number, totalBytes: number | null) => void;
  /** Milliseconds before the second try of a request; doubled from then on. */
  retryDelayMs: number;
};
