/** Forms as clients write them, whatever the pieces they arrive in, and bodies that are none. */
import { describe, expect, it } from "vitest";
import { formParts } from "../../../edge/http/form-parts.ts";

const encoder = new TextEncoder();
const boundary = "----edge-42";
const type = `multipart/form-data; boundary=${boundary}`;

function formOf(parts: readonly [disposition: string, content: string][], end = true): Uint8Array {
  const written = parts.map(
    ([disposition, content]) =>
      `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`,
  );
  return encoder.encode(`${written.join("")}${end ? `--${boundary}--\r\n` : ""}`);
}

/** @param cuts where the body is cut into chunks */
function requestOf(body: Uint8Array, cuts: readonly number[] = [], contentType = type): Request {
  const edges = [0, ...cuts, body.byteLength];
  const chunks = edges.slice(1).map((end, at) => body.slice(edges[at], end));
  const stream = new ReadableStream({
    type: "bytes",
    start(controller) {
      for (const chunk of chunks) if (chunk.byteLength > 0) controller.enqueue(chunk);
      controller.close();
    },
  });
  return new Request("http://edge/", {
    method: "POST",
    body: stream,
    headers: { "content-type": contentType },
  });
}

async function read(request: Request) {
  const fields: Record<string, string> = {};
  const files: { name: string; filename: string; text: string; ended: boolean }[] = [];
  const decoder = new TextDecoder();
  for await (const part of formParts(request)) {
    const last = files.at(-1);
    if (part.kind === "field") fields[part.name] = part.value;
    else if (part.kind === "file") files.push({ ...part, text: "", ended: false });
    else if (last === undefined) throw new Error("a chunk of no file");
    else if (part.kind === "chunk") last.text += decoder.decode(part.bytes, { stream: true });
    else last.ended = true;
  }
  return { fields, files };
}

const line = `{"text":"née","label":"\r\n--${boundary.slice(0, -1)}"}`;
const form = formOf([
  ['name="purpose"', "fine-tune"],
  ['name="file"; filename="a b.jsonl"\r\nContent-Type: application/jsonl', line],
]);

describe("a form", () => {
  it("is read alike wherever it is cut", async () => {
    for (let cut = 0; cut <= form.byteLength; cut += 1) {
      const { fields, files } = await read(requestOf(form, [cut]));
      expect(fields, `cut at ${cut}`).toEqual({ purpose: "fine-tune" });
      expect(files, `cut at ${cut}`).toMatchObject([
        { name: "file", filename: "a b.jsonl", text: line, ended: true },
      ]);
    }
  });

  it("is read byte by byte", async () => {
    const cuts = Array.from({ length: form.byteLength - 1 }, (_, at) => at + 1);
    const { fields, files } = await read(requestOf(form, cuts));
    expect({ fields, text: files[0]?.text }).toEqual({
      fields: { purpose: "fine-tune" },
      text: line,
    });
  });

  it("is written by FormData too", async () => {
    const body = new FormData();
    body.append("file", new File(["x\n".repeat(100_000)], "ü.txt"));
    body.append("purpose", "fine-tune");
    const { fields, files } = await read(new Request("http://edge/", { method: "POST", body }));
    expect(fields).toEqual({ purpose: "fine-tune" });
    expect(files).toMatchObject([{ filename: "ü.txt", ended: true }]);
    expect(files[0]?.text).toHaveLength(200_000);
  });
});

describe("what is no form", () => {
  const field = ['name="a"', "b"] as [string, string];
  it.each([
    ["has no boundary", formOf([field]), "multipart/form-data", /with a boundary/],
    ["is JSON", encoder.encode("{}"), "application/json", /is not multipart\/form-data/],
    [
      "ends inside a file",
      formOf([['name="file"; filename="f"', "x"]], false),
      type,
      /last boundary/,
    ],
    ["has a part without a name", formOf([["filename=x", "b"]]), type, /no name/],
    ["has too many parts", formOf(Array.from({ length: 21 }, () => field)), type, /more than 20/],
    ["has a long field", formOf([['name="a"', "b".repeat(10_001)]]), type, /more than 10000/],
    [
      "has a filename that cannot be decoded",
      formOf([["name=a; filename*=UTF-8''%E4", "b"]]),
      type,
      /headers/,
    ],
  ])("%s, and is refused", async (_, body, contentType, message) => {
    await expect(read(requestOf(body, [], contentType))).rejects.toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(message),
    });
  });
});
