import { mkdir, mkdtemp, open, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { openKeptDigests } from "../../gpu-worker/files/kept-digests.ts";

const never = new AbortController().signal;

describe("kept digests", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "llm-os-digests-"));
    file = path.join(folder, "weights");
    await writeFile(file, new Uint8Array(2 ** 21).fill(1));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const digests = () => openKeptDigests(path.join(folder, "state"));
  const kept = async () => {
    const text = await readFile(path.join(folder, "state", "file-digests.json"), "utf8");
    return Object.values<unknown>(JSON.parse(text));
  };

  it("are those of the file, whoever asks", async () => {
    const digest = await sha256OfFile(file);
    expect(await digests().sha256(file, never)).toBe(digest);
    expect(await digests().sha256(file, never)).toBe(digest);
    expect(await kept()).toEqual([digest]);
  });

  it("do not outlive a change that keeps size and time", async () => {
    const before = await digests().sha256(file, never);
    const { atime, mtime } = await stat(file);
    const handle = await open(file, "r+");
    await handle.write(new Uint8Array([2]), 0, 1, 1_000_000);
    await handle.close();
    await utimes(file, atime, mtime);
    const after = await digests().sha256(file, never);
    expect(after).not.toBe(before);
    expect(after).toBe(await sha256OfFile(file));
  });

  it("are bounded in number, and read anew where the note is damaged", async () => {
    const note = path.join(folder, "state", "file-digests.json");
    await mkdir(path.dirname(note));
    const old = Array.from({ length: 1_000 }, (_, at) => [`old-${at}`, "0".repeat(64)]);
    await writeFile(note, JSON.stringify(Object.fromEntries(old)));
    const digest = await digests().sha256(file, never);
    expect(await kept()).toHaveLength(1_000);
    expect((await kept()).at(-1)).toBe(digest);
    await writeFile(note, "{");
    expect(await digests().sha256(file, never)).toBe(digest);
    expect(await kept()).toEqual([digest]);
  });
});
