/** Values kept in a JSON file: what two writers keep, and what a damaged file is worth. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as z from "zod";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JsonStore } from "../../gpu-worker/files/json-store.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-store-"));
  file = path.join(folder, "state", "figures.json");
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (entriesMax?: number) => new JsonStore(file, z.number(), entriesMax);

describe("a store of values", () => {
  it("keeps what several put in at once, for whoever opens it later", async () => {
    const store = open();
    await Promise.all([store.keep("a", 1), store.keep("b", 2), store.keep("c", 3)]);
    await open().keep("d", 4);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ a: 1, b: 2, c: 3, d: 4 });
    expect(await store.find("d")).toBe(4);
    expect(await store.find("e")).toBeNull();
    expect(await readdir(path.dirname(file))).toEqual(["figures.json"]);
  });

  it.each(["{", "[1]", '{"a":"one"}'])("holds nothing where its file is %s", async (text) => {
    await open().keep("a", 1);
    await writeFile(file, text);
    expect(await open().find("a")).toBeNull();
    await open().keep("b", 2);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ b: 2 });
  });

  it("forgets the oldest, and takes what is kept again for new", async () => {
    const store = open(2);
    for (const key of ["a", "b", "a", "c"]) await store.keep(key, 0);
    expect(Object.keys(JSON.parse(await readFile(file, "utf8")))).toEqual(["a", "c"]);
  });

  it("goes on after a write that failed", async () => {
    const store = open();
    await writeFile(path.join(folder, "state"), "no folder");
    await expect(store.keep("a", 1)).rejects.toThrow("EEXIST");
    await rm(path.join(folder, "state"));
    await store.keep("b", 2);
    expect(await store.find("b")).toBe(2);
  });
});
