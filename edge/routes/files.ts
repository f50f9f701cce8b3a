/**
 * The files of a key, as OpenAI words them: POST and GET /v1/files, GET and DELETE /v1/files/{id}, its content, and a
 * report of what is in it (ours). A file passes through to the bucket as it arrives; its beginning is looked at before
 * anything is stored, the whole of it by a worker.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { receiveFile, type ReceivedForm, tooLarge } from "../files/receive-file.ts";
import {
  FileId,
  FileObject,
  formatFileId,
  keyOfFile,
  showFile,
  type StoredFile,
} from "../files/stored-file.ts";
import { storageLimits, type StorageRefusal } from "../files/storage-limits.ts";
import { byteStream } from "../http/byte-stream.ts";
import { randomHex } from "../http/random-hex.ts";
import { validate } from "../http/validation.ts";
import { openObject } from "../storage/object-store.ts";

const pageMax = 10_000;
const filenameCharactersMax = 255;

export const FileList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(FileObject).describe("The files."),
  first_id: z.string().nullable().describe("Of the first of them."),
  last_id: z.string().nullable().describe("Of the last: `after` of the next page."),
  has_more: z.boolean().describe("Whether there are more."),
});

export const DeletedFile = z.object({
  id: z.string().describe("Of the file."),
  object: z.literal("file").describe("What it was."),
  deleted: z.literal(true).describe("Nobody sees it any more."),
});

/** Of those, what callers upload. */
const uploadedPurposes = ["fine-tune"] as const;

const Form = z.strictObject({
  purpose: z.enum(uploadedPurposes),
  "expires_after[anchor]": z.literal("created_at").optional(),
  "expires_after[seconds]": z.coerce.number().int().min(3_600).max(2_592_000).optional(),
});

/** As published. */
export const CreateFileRequest = z.strictObject({
  file: z.string().describe(`The file, of ${trainingLimits.fileBytesMax} bytes at most.`),
  purpose: z.enum(uploadedPurposes).describe("What it is for."),
  expires_after: z
    .strictObject({
      anchor: z.literal("created_at").describe("From when the time runs."),
      seconds: z.int().min(3_600).max(2_592_000).describe("How long it is kept."),
    })
    .optional()
    .describe("When it is deleted. Default: never by itself."),
});

const Query = z.strictObject({
  purpose: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(pageMax).default(pageMax),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().optional(),
});

function filesOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Files");
  return { tenant, files: c.env.FILES.getByName(tenant) };
}

export async function createFile(c: EdgeContext): Promise<Response> {
  const { tenant, files } = filesOf(c);
  const id = formatFileId(randomHex());
  const refusal = await files.begin(id, roomFor(c.req.header("content-length")));
  if (refusal !== null) throw noRoom(refusal);
  let kept = false;
  try {
    const { fields, file } = await receiveFile(c.req.raw, {
      settings: settingsOf(c.env),
      key: keyOfFile(id),
      onGoing: () => c.executionCtx.waitUntil(files.hear(id)),
    });
    const form = validate(Form, Object.fromEntries(fields));
    if (file === null) throw missingFile();
    const stored = storedFile(id, file, form);
    kept = await files.end(tenant, stored);
    if (!kept) throw new CodedError("request_timeout", "The upload took too long. Send it again.");
    return c.json(showFile(stored));
  } finally {
    if (!kept) c.executionCtx.waitUntil(files.discard(id));
  }
}

/** Of the form beside the file. */
const formBytesMax = 65_536;

/** Bytes that an upload is given room for. @throws CodedError for one that says it is too large */
function roomFor(contentLength: string | undefined): number {
  const announced = Number(contentLength ?? Number.NaN);
  if (announced > trainingLimits.fileBytesMax + formBytesMax) throw tooLarge();
  return Number.isNaN(announced)
    ? trainingLimits.fileBytesMax
    : Math.min(announced, trainingLimits.fileBytesMax);
}

function missingFile(): CodedError {
  return new CodedError(
    "missing_required_parameter",
    "Missing required parameter: file. Send it as a part of the form, with a filename.",
    { param: "file" },
  );
}

export function noRoom(refusal: StorageRefusal): CodedError {
  if (refusal === "uploads") {
    return new CodedError(
      "rate_limit_exceeded",
      `${storageLimits.uploadsMax} uploads of this key are under way, the most at a time. Wait for one to end.`,
    );
  }
  const limit =
    refusal === "bytes"
      ? `${storageLimits.storedBytesMax} bytes`
      : `${storageLimits.filesMax} files`;
  return new CodedError(
    "insufficient_quota",
    `A key may store ${limit}, and there is no room left for this file. Delete files that are not needed.`,
    { param: "file" },
  );
}

function storedFile(
  id: string,
  { filename, reference }: NonNullable<ReceivedForm["file"]>,
  form: z.infer<typeof Form>,
): StoredFile {
  const createdAt = Math.floor(Date.now() / 1_000);
  const seconds = form["expires_after[seconds]"];
  return {
    id,
    key: keyOfFile(id),
    filename: filename.slice(0, filenameCharactersMax),
    purpose: form.purpose,
    bytes: reference.bytes,
    sha256: reference.sha256,
    createdAt,
    expiresAt: seconds === undefined ? null : createdAt + seconds,
    status: "uploaded",
    statusDetails: null,
  };
}

export async function listFiles(c: EdgeContext): Promise<Response> {
  const { tenant, files } = filesOf(c);
  const { purpose = null, after = null, limit, order } = validate(Query, c.req.query());
  const page = await files.page(tenant, { purpose, after, limit, order });
  if (page === null) throw fileNotFound("after");
  const data = page.slice(0, limit).map(showFile);
  return c.json({
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: page.length > limit,
  } satisfies z.infer<typeof FileList>);
}

function fileNotFound(param = "id"): CodedError {
  return new CodedError("not_found", "No such file. Files are kept for their key alone.", {
    param,
  });
}

/** The id in the address. @throws CodedError `not_found` where it is none */
function fileIdOf(c: EdgeContext): string {
  const id = FileId.safeParse(c.req.param("id"));
  if (!id.success) throw fileNotFound();
  return id.data;
}

async function fileOf(c: EdgeContext): Promise<StoredFile> {
  const { tenant, files } = filesOf(c);
  const file = await files.find(tenant, fileIdOf(c));
  if (file === null) throw fileNotFound();
  return file;
}

export async function getFile(c: EdgeContext): Promise<Response> {
  return c.json(showFile(await fileOf(c)));
}

export async function deleteFile(c: EdgeContext): Promise<Response> {
  const { files } = filesOf(c);
  const id = fileIdOf(c);
  if (!(await files.remove(id))) throw fileNotFound();
  return c.json({ id, object: "file", deleted: true } satisfies z.infer<typeof DeletedFile>);
}

export async function getFileContent(c: EdgeContext): Promise<Response> {
  const { key, bytes, sha256, filename } = await fileOf(c);
  return objectResponse(
    c,
    { key, bytes, sha256 },
    {
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
    },
  );
}

/** @throws CodedError where it was deleted meanwhile */
async function objectResponse(
  c: EdgeContext,
  reference: ObjectReference,
  headers: Record<string, string>,
): Promise<Response> {
  const content = await openObject(settingsOf(c.env), reference);
  if (content === null) throw fileNotFound();
  const cancel = async () => void (await content.return(undefined));
  return new Response(byteStream(content, cancel), {
    headers: { ...headers, "x-content-type-options": "nosniff" },
  });
}

/** What is in a file, line by line where lines are bad. */
export async function getFileReport(c: EdgeContext): Promise<Response> {
  const { files } = filesOf(c);
  const { id, status } = await fileOf(c);
  const report = await files.report(id);
  if (report !== null) return objectResponse(c, report, { "content-type": "application/json" });
  throw new CodedError(
    "not_found",
    status === "uploaded"
      ? "The file is still being checked. Ask for it until its status is processed or error."
      : "There is no report of this file: it could not be checked.",
    { param: "id" },
  );
}
