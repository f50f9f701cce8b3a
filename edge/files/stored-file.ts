/** A file that a key has uploaded, as its rows keep it, and as OpenAI's API shows it. */
import * as z from "zod";

/**
 * What a file may be for: what is uploaded, and what came of a training. OpenAI's other purposes belong to products
 * that are not offered here.
 */
export const filePurposes = ["fine-tune", "fine-tune-results"] as const;
export type FilePurpose = (typeof filePurposes)[number];

export const FileStatus = z.enum(["uploaded", "processed", "error"]);
export type FileStatus = z.infer<typeof FileStatus>;

export type StoredFile = {
  id: string;
  /** Where its bytes lie in the bucket. */
  key: string;
  filename: string;
  purpose: FilePurpose;
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** Seconds since the epoch, as all times here. */
  createdAt: number;
  /** Null: it is kept until it is deleted. */
  expiresAt: number | null;
  /** Uploaded: what is in it is being checked. */
  status: FileStatus;
  /** Why it is of no use; null: it is, or it is not known yet. */
  statusDetails: string | null;
};

/** 128 random bits: nobody guesses one. */
export const FileId = z.string().regex(/^file-[0-9a-f]{32}$/);

/** @param random 32 lower-case hex digits */
export function formatFileId(random: string): string {
  return `file-${random}`;
}

/** Where the bytes of an upload lie in the bucket. */
export function keyOfFile(id: string): string {
  return `files/${id}`;
}

/** And the report of what is in it. */
export function keyOfReport(id: string): string {
  return `files/${id}-report`;
}

export const FileObject = z.object({
  id: z.string().describe("What it is asked for by."),
  object: z.literal("file").describe("What this is."),
  bytes: z.int().nonnegative().describe("Its size."),
  created_at: z.int().describe("Unix time in seconds."),
  expires_at: z.int().optional().describe("When it is deleted; absent: never by itself."),
  filename: z.string().describe("As it was sent."),
  purpose: z.enum(filePurposes).describe("What it is for."),
  status: FileStatus.describe(
    "uploaded: it is being checked; processed: it can be used; error: it cannot, and its report says why.",
  ),
  status_details: z.string().optional().describe("Why it cannot be used. Absent: it can, or may."),
});
export type FileObject = z.infer<typeof FileObject>;

export function showFile(file: StoredFile): FileObject {
  const { id, bytes, createdAt, expiresAt, filename, purpose, status, statusDetails } = file;
  return {
    id,
    object: "file",
    bytes,
    created_at: createdAt,
    ...(expiresAt === null ? {} : { expires_at: expiresAt }),
    filename,
    purpose,
    status,
    ...(statusDetails === null ? {} : { status_details: statusDetails }),
  };
}
