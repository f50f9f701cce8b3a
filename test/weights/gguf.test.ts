import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ggmlTypes } from "../../gpu-worker/weights/ggml-blocks.ts";
import { openGguf } from "../../gpu-worker/weights/gguf-reader.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { WeightError } from "../../gpu-worker/weights/weight-source.ts";
import { entry, gguf, joined, kinds, tensorInfo, text, uint32, uint64 } from "./gguf-bytes.ts";
import type { GgufParts } from "./gguf-bytes.ts";
import { expectRefusedOrRead } from "./changed-bytes.ts";

const made = path.join(import.meta.dirname, "made");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "gguf-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let count = 0;
async function fileOf(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, `${count++}.gguf`);
  await writeFile(file, bytes);
  return file;
}

/** The elements' bits: −0 is not 0. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

describe("types of tensors", () => {
  const bytes = readFileSync(path.join(made, "types.f32"));
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  const order = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K"];
  const elements = 512;

  it("are all compared", () => {
    expect(order.toSorted()).toEqual(Object.keys(ggmlTypes).toSorted());
    expect(all).toHaveLength(order.length * elements);
  });

  it.each(order)("%s is read as the reference implementation does, to the bit", (type) => {
    const source = openGguf(path.join(made, "types.gguf"));
    const at = order.indexOf(type) * elements;
    expect(source.entry(type)).toEqual({
      name: type,
      dtype: "float32",
      shape: [2, 256],
      byteLength: elements * 4,
      stored: type,
    });
    expect(bitsOf(readFloat32(source, type))).toEqual(bitsOf(all.slice(at, at + elements)));
    source.close();
  });

  it("are given as they are stored too", async () => {
    const source = openGguf(path.join(made, "types.gguf"));
    const { type, shape, bytes: blocks } = source.blocks("Q4_1");
    expect({ type, shape }).toEqual({ type: "Q4_1", shape: [2, 256] });
    expect(blocks).toHaveLength(16 * 20);
    const whole = await readFile(path.join(made, "types.gguf"));
    expect(whole.includes(Buffer.from(blocks))).toBe(true);
    source.close();
  });
});

describe("metadata", () => {
  it("has all types of values", () => {
    const { values, metadata, close } = openGguf(path.join(made, "values.gguf"));
    close();
    expect(Object.fromEntries(values)).toEqual({
      "general.architecture": "values",
      "general.alignment": 64,
      "a.uint8": 200,
      "a.int8": -100,
      "a.uint16": 60_000,
      "a.int16": -30_000,
      "a.uint32": 4_000_000_000,
      "a.int32": -2_000_000_000,
      "a.uint64": 2n ** 60n,
      "a.int64": -5,
      "a.float32": Math.fround(0.1),
      "a.float64": 0.1,
      "a.bool": true,
      "a.string": "Grüße 👋",
      "a.texts": ["", "ab", "東京"],
      "a.numbers": Int32Array.of(1, -2, 3),
      "a.floats": Float32Array.of(0.5, -0.25),
      "a.flags": Uint8Array.of(1, 0),
      "a.bytes": Uint8Array.of(1, 2, 255),
    });
    expect(metadata).toEqual({ "general.architecture": "values", "a.string": "Grüße 👋" });
  });

  it("may move the data: tensors of any rank lie at multiples of its alignment", () => {
    const source = openGguf(path.join(made, "values.gguf"));
    expect(source.names()).toEqual(["scalars", "cube"]);
    expect(source.read("scalars").data).toEqual(Float32Array.of(0, 1, 2, 3, 4));
    expect(source.entry("cube")?.shape).toEqual([2, 3, 4]);
    expect(source.read("cube").data).toEqual(Float32Array.from({ length: 24 }, (_, at) => at));
    source.close();
  });

  it("is longer than what is read at once", async () => {
    const long = "x".repeat(600_000);
    const texts = Array.from({ length: 40_000 }, (_, at) => `token ${at}`);
    const list = joined(
      uint32(kinds.text),
      uint64(texts.length),
      ...texts.map((each) => text(each)),
    );
    const entries = [entry("long", kinds.text, text(long)), entry("list", kinds.array, list)];
    const source = openGguf(await fileOf(gguf({ entries })));
    expect(source.values.get("long")).toBe(long);
    expect(source.values.get("list")).toEqual(texts);
    expect(source.read("a").data).toEqual(new Float32Array(8));
    source.close();
  });
});

describe("a file", () => {
  it("of version 2 is read", async () => {
    const source = openGguf(await fileOf(gguf({ version: 2 })));
    expect(source.names()).toEqual(["a"]);
    source.close();
  });

  it("without tensors, and with one without elements, is read", async () => {
    const none = openGguf(await fileOf(gguf({ tensors: [], dataBytes: 0 })));
    expect(none.names()).toEqual([]);
    none.close();
    const empty = openGguf(await fileOf(gguf({ tensors: [tensorInfo({ lengths: [4, 0] })] })));
    expect(empty.read("a")).toEqual({ dtype: "float32", shape: [0, 4], data: new Float32Array(0) });
    empty.close();
  });

  it("says what is missing, closed or cut", async () => {
    const bytes = gguf();
    const file = await fileOf(bytes);
    const source = openGguf(file);
    expect(() => source.read("c")).toThrow(/\.gguf: there is no tensor "c"/);
    await truncate(file, bytes.length - 1);
    expect(() => source.read("a")).toThrow(/\.gguf: the file ends 1 bytes too early/);
    source.close();
    expect(() => source.read("a")).toThrow(/closed/);
    expect(() => openGguf(path.join(folder, "none"))).toThrow(WeightError);
  });
});

const two = (second: Parameters<typeof tensorInfo>[0]) => [
  tensorInfo(),
  tensorInfo({ name: "b", ...second }),
];
const list = (kind: number, claimed: number | bigint, ...parts: Uint8Array[]) =>
  entry("list", kinds.array, joined(uint32(kind), uint64(claimed), ...parts));
const aligned = (to: number) => entry("general.alignment", kinds.uint32, uint32(to));

describe("hostile files", () => {
  const huge = 2n ** 60n;
  const hostile: readonly (readonly [string, GgufParts, RegExp])[] = [
    ["another magic", { magic: "GGML" }, /does not begin with "GGUF"/],
    ["version 1", { version: 1 }, /version 1 is not read, only 2 and 3/],
    ["version 4", { version: 4 }, /version 4/],
    ["the other byte order", { version: 0x03_00_00_00 }, /big-endian/],
    ["2^60 tensors", { tensorCount: huge }, /number of tensors claims 115292150460684/],
    ["2^64 − 1 tensors", { tensorCount: 2n ** 64n - 1n }, /number of tensors claims/],
    ["2^60 entries", { entryCount: huge }, /number of metadata entries claims/],
    ["more tensors than there are", { tensorCount: 2 }, /tensor 2 has no name/],
    ["a key of 2^60 bytes", { entries: [text("", huge)] }, /key 1 of the metadata claims/],
    ["a key that is no text", { entries: [entry(Uint8Array.of(0xff), 0, uint32(0))] }, /UTF-8/],
    ["a key twice", { entries: [aligned(32), aligned(32)] }, /"general.alignment" stands twice/],
    ["a value of no type", { entries: [entry("k", 13, uint32(0))] }, /"k" is of unknown type 13/],
    ["a text of 2^60", { entries: [entry("k", kinds.text, text("", huge))] }, /"k" claims/],
    ["a flag of 2", { entries: [entry("k", kinds.bool, Uint8Array.of(2))] }, /"k" is neither/],
    ["a list of 2^60 texts", { entries: [list(kinds.text, huge)] }, /"list" claims/],
    ["a list of 2^60 numbers", { entries: [list(kinds.uint64, huge)] }, /"list" claims/],
    ["a list of 2^61 + 1 numbers", { entries: [list(kinds.uint64, huge * 2n + 1n)] }, /claims/],
    ["a list of no type", { entries: [list(99, 0)] }, /"list" is an array of unknown type 99/],
    ["a list of lists", { entries: [list(kinds.array, 1)] }, /"list" is an array of arrays/],
    [
      "a list with a long text",
      { entries: [list(kinds.text, 1, text("", huge))] },
      /"list" claims/,
    ],
    ["an alignment of 0", { entries: [aligned(0)] }, /"general.alignment" is 0/],
    ["an alignment of 24", { entries: [aligned(24)] }, /"general.alignment" is 24/],
    [
      "an alignment in words",
      { entries: [entry("general.alignment", kinds.text, text("32"))] },
      /"general.alignment" is 32, expected a power/,
    ],
    ["an alignment past the file", { entries: [aligned(2 ** 31)] }, /"a" runs past the end/],
    ["5 axes", { tensors: [tensorInfo({ lengths: [1, 1, 1, 1, 1] })] }, /"a" has 5 axes/],
    ["2^32 − 1 axes", { tensors: [tensorInfo({ rank: 2 ** 32 - 1 })] }, /"a" has 4294967295 axes/],
    ["a length of 2^60", { tensors: [tensorInfo({ lengths: [huge] })] }, /length of tensor "a"/],
    [
      "a product past all numbers",
      { tensors: [tensorInfo({ lengths: [2 ** 40, 2 ** 40] })] },
      /tensor "a" is too large/,
    ],
    [
      "zero times infinity",
      { tensors: [tensorInfo({ lengths: [0, 2 ** 52, 2 ** 52] })] },
      /tensor "a" is too large/,
    ],
    ["a type that is not read", { tensors: [tensorInfo({ type: 13 })] }, /"a" is Q5_K, which/],
    ["a type that was removed", { tensors: [tensorInfo({ type: 4 })] }, /"a" is of unknown type 4/],
    [
      "a type of no name",
      { tensors: [tensorInfo({ type: 2 ** 32 - 1 })] },
      /unknown type 4294967295/,
    ],
    ["half a block", { tensors: [tensorInfo({ lengths: [48], type: 3 })] }, /rows of 48 elements/],
    ["blocks over rows", { tensors: [tensorInfo({ lengths: [16, 2], type: 2 })] }, /rows of 16/],
    ["an odd offset", { tensors: two({ offset: 33 }), dataBytes: 128 }, /"b" does not begin at/],
    ["an offset of 2^60", { tensors: [tensorInfo({ offset: huge })] }, /offset of tensor "a"/],
    ["an offset past the end", { tensors: two({ offset: 64 }) }, /"b" runs past the end/],
    ["a tensor past the end", { dataBytes: 31 }, /"a" runs past the end of the file/],
    ["an overlap", { tensors: two({ offset: 0 }), dataBytes: 64 }, /"b" overlaps/],
    ["a name twice", { tensors: [tensorInfo(), tensorInfo()] }, /tensor "a" stands twice/],
    ["a name of 2^60", { tensors: [text("", huge)] }, /name of tensor 1 claims/],
  ];

  it.each(hostile)("with %s are refused, named", async (_, parts, message) => {
    const file = await fileOf(gguf(parts));
    expect(() => openGguf(file)).toThrow(WeightError);
    expect(() => openGguf(file)).toThrow(message);
    expect(() => openGguf(file)).toThrow(path.basename(file));
  });

  it("cut anywhere are refused", async () => {
    const entries = [
      entry("k", kinds.text, text("value")),
      list(kinds.text, 2, text("a"), text("")),
    ];
    const whole = gguf({ entries });
    const file = await fileOf(whole);
    for (let length = whole.length - 1; length >= 0; length--) {
      await truncate(file, length);
      expect(() => openGguf(file)).toThrow(WeightError);
    }
  });

  it("with any byte changed are refused, or read within the file", async () => {
    const entries = [
      entry("general.architecture", kinds.text, text("llama")),
      list(kinds.text, 3, text("a"), text("bc"), text("")),
      list(kinds.uint32, 2, uint32(1), uint32(2)),
      aligned(32),
    ];
    const good = gguf({ entries, tensors: two({ offset: 32 }), dataBytes: 64 });
    const file = await fileOf(good);
    await expectRefusedOrRead(good, { file, end: good.length - 64, open: openGguf });
  });

  it("of a gigabyte without a byte of sense take little memory and time", async () => {
    const file = await fileOf(gguf({ tensors: [], entries: [list(kinds.text, 120_000_000)] }));
    await truncate(file, 1_000_000_000);
    expect(() => openGguf(file)).toThrow(/"list" claims 120000000 entries/);
  });
});
