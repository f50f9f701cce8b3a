/**
 * Ids of cl100k_base, against js-tiktoken's whole port of tiktoken, and the digest by which tiktoken knows its file of
 * ranks.
 */
import { createHash } from "node:crypto";
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import { describe, expect, it } from "vitest";
import { TimeSlices } from "../../gpu-worker/event-loop/time-slices.ts";
import { loadCl100k } from "../../gpu-worker/tokenizer/cl100k.ts";
import { seededRandom, textsInManyScripts } from "../pipelines/texts-in-many-scripts.ts";
import { tiktokenFile } from "./tiktoken-file.ts";

const oracle = new Tiktoken(ranks);
const vocabulary = await loadCl100k();

function decode(ids: readonly number[], charactersMax = 1_000_000): Promise<string> {
  return vocabulary.decode(ids, { charactersMax, slices: new TimeSlices() });
}

describe("cl100k_base", () => {
  it("has the ranks that OpenAI publishes", () => {
    // tiktoken_ext/openai_public.py
    expect(createHash("sha256").update(tiktokenFile()).digest("hex")).toBe(
      "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    );
  });

  it("has the ids there are, and no other", () => {
    expect(vocabulary.size).toBe(100_277);
    const known = [0, 100_255, 100_257, 100_260, 100_276];
    const unknown = [-1, 0.5, 100_256, 100_261, 100_275, 100_277, 2 ** 40];
    expect(known.map(vocabulary.has)).toEqual(known.map(() => true));
    expect(unknown.map(vocabulary.has)).toEqual(unknown.map(() => false));
  });

  it("gives back texts of many scripts", async () => {
    for (const text of textsInManyScripts(200, 60)) {
      expect(await decode(oracle.encode(text, "all"))).toBe(text.toWellFormed());
    }
  });

  it("decodes any ids as the port does, valid UTF-8 or not", async () => {
    const random = seededRandom(5);
    for (let count = 0; count < 200; count += 1) {
      // Below 256 they are single bytes.
      const below = count % 2 === 0 ? 256 : 100_256;
      const ids = Array.from({ length: 300 }, () => Math.floor(random() * below));
      expect(await decode(ids)).toBe(oracle.decode(ids));
    }
  });

  it("writes U+FFFD for what is cut off, forgets it, and keeps a byte order mark", async () => {
    const [first = 0, ...rest] = oracle.encode("😀");
    expect(rest.length).toBeGreaterThan(0);
    expect(await decode([first])).toBe("\ufffd");
    expect(await decode(oracle.encode("after"))).toBe("after");
    expect(await decode(oracle.encode("\ufeffmarked"))).toBe("\ufeffmarked");
  });

  it("writes special tokens out", async () => {
    expect(await decode([100_257, 100_276])).toBe("<|endoftext|><|endofprompt|>");
  });

  it("stops some way past the characters wanted", async () => {
    const [line = 0] = oracle.encode("-".repeat(64));
    const text = await decode(Array(50_000).fill(line), 10_000);
    expect(text.length).toBeGreaterThan(10_000);
    expect(text.length).toBeLessThan(200_000);
  });

  it("gives up its time slice to others, and ends when it is aborted", async () => {
    const given = new AbortController();
    const reason = new Error("nobody waits");
    const ids = oracle.encode(" many words of a long text").concat(oracle.encode("\u4e2d"));
    const many = Array.from({ length: 300_000 }, (_, at) => ids[at % ids.length] ?? 0);
    setImmediate(() => given.abort(reason));
    const slices = new TimeSlices(given.signal);
    const decoded = vocabulary.decode(many, { charactersMax: Infinity, slices });
    await expect(decoded).rejects.toBe(reason);
  });
});
