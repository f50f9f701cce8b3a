/** The operations on files. */
import * as z from "zod";
import { FileReport } from "#contract/training/report.ts";
import { tasks } from "#contract/tasks.ts";
import { FileObject } from "../files/stored-file.ts";
import { CreateFileRequest, DeletedFile, FileList } from "../routes/files.ts";
import type { Operation } from "./operation.ts";

export const fileId = "file-5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21";

const fileExample: FileObject = {
  id: fileId,
  object: "file",
  bytes: 460,
  created_at: 1_764_336_000,
  filename: "train.jsonl",
  purpose: "fine-tune",
  status: "processed",
};

type FileOperation = Pick<Operation, "method" | "path" | "id" | "summary" | "description"> &
  Partial<Operation>;

function ofFiles(operation: FileOperation): Operation {
  return {
    tag: "Files",
    example: { response: fileExample },
    errors: [401, 403, 404, 429, 500],
    headers: "any",
    ...operation,
  };
}

export const fileOperations: readonly Operation[] = [
  ofFiles({
    method: "post",
    path: "/v1/files",
    id: "createFile",
    summary: "Upload a file to train with",
    description:
      "The beginning of the file is judged at once, all of it by a worker: its status is uploaded until then. " +
      "Files belong to a key.",
    request: CreateFileRequest,
    form: true,
    response: FileObject,
    example: {
      request: { purpose: "fine-tune", file: '{"text": "A delight.", "label": "positive"}' },
      response: { ...fileExample, status: "uploaded" },
    },
    errors: [400, 401, 403, 408, 413, 429, 500],
  }),
  ofFiles({
    method: "get",
    path: "/v1/files",
    id: "listFiles",
    summary: "List files",
    description: "Those of the key that asks, the newest first.",
    query: {
      purpose: { description: "Only those for this.", example: "fine-tune", optional: true },
      limit: { description: "So many, 10000 at most.", example: "100", optional: true },
      order: { description: "By age: asc or desc.", example: "desc", optional: true },
      after: { description: "Those after this one.", example: fileId, optional: true },
    },
    response: FileList,
    example: {
      response: {
        object: "list",
        data: [fileExample],
        first_id: fileId,
        last_id: fileId,
        has_more: false,
      },
    },
    errors: [400, 401, 403, 404, 429, 500],
  }),
  ofFiles({
    method: "get",
    path: "/v1/files/{file}",
    id: "getFile",
    summary: "Ask for a file",
    description: "How it stands, and why where it cannot be used.",
    response: FileObject,
  }),
  ofFiles({
    method: "delete",
    path: "/v1/files/{file}",
    id: "deleteFile",
    summary: "Delete a file",
    description: "Its bytes and its report are deleted too.",
    response: DeletedFile,
    example: { response: { id: fileId, object: "file", deleted: true } },
  }),
  ofFiles({
    method: "get",
    path: "/v1/files/{file}/content",
    id: "getFileContent",
    summary: "Download a file",
    description: "Its bytes as they were sent.",
    response: z.string(),
    binary: true,
    example: { response: '{"text": "A delight.", "label": "positive"}' },
  }),
  ofFiles({
    method: "get",
    path: "/v1/files/{file}/report",
    id: "getFileReport",
    summary: "What is in a file",
    description:
      "Its form, each bad example with its line and what to do about it, duplicates, labels and lengths.",
    response: FileReport,
    example: { response: tasks["file-check"].example.output },
  }),
];
