/** What one key may store. */
export const storageLimits = {
  storedBytesMax: 1_000_000_000,
  filesMax: 10_000,
  /** Uploads under way: half of what an isolate takes at once, so that others have their turn. */
  uploadsMax: 2,
} as const;

/** What there is too little of. */
export type StorageRefusal = "bytes" | "files" | "uploads";
