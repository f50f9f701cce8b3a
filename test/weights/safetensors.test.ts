import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import type { TensorToWrite } from "../../gpu-worker/weights/safetensors-writer.ts";
import { WeightError } from "../../gpu-worker/weights/weight-source.ts";
import { expectRefusedOrRead } from "./changed-bytes.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "safetensors-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let count = 0;
async function fileOf(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, `${count++}.safetensors`);
  await writeFile(file, bytes);
  return file;
}

/** A file of this header text, with its true length unless another is given, and so many bytes of data. */
function bytesOf(header: string | Uint8Array, dataBytes: number, length?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const two =
  `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},` +
  `"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}`;

function open(file: string) {
  const source = openSafetensors(file);
  source.close();
  return source;
}

describe("reading", () => {
  it("gives names, types and elements, whatever their alignment", async () => {
    const bytes = bytesOf(two, 11);
    new DataView(bytes.buffer).setFloat32(bytes.length - 11, 1.5, true);
    bytes.set([7, 8, 9], bytes.length - 3);
    const source = openSafetensors(await fileOf(bytes));
    expect(source.names()).toEqual(["a", "b"]);
    expect(source.entry("b")).toMatchObject({ dtype: "uint8", shape: [3], byteLength: 3 });
    expect(source.read("a")).toEqual({
      dtype: "float32",
      shape: [2],
      data: Float32Array.of(1.5, 0),
    });
    expect(source.read("b").data).toEqual(Uint8Array.of(7, 8, 9));
    source.close();
  });

  it("takes a file without tensors, tensors without elements, and padding after the header", async () => {
    expect(open(await fileOf(bytesOf("{}      ", 0))).names()).toEqual([]);
    const empty = `{"e":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]}}`;
    expect(open(await fileOf(bytesOf(empty, 0))).entry("e")?.shape).toEqual([0, 4]);
  });

  it("says what is missing, closed or cut", async () => {
    const file = await fileOf(bytesOf(two, 11));
    const source = openSafetensors(file);
    expect(() => source.read("c")).toThrow(/no tensor "c"/);
    await truncate(file, 8 + two.length + 10);
    expect(() => source.read("b")).toThrow(WeightError);
    source.close();
    expect(() => source.read("a")).toThrow(/closed/);
    expect(() => openSafetensors(path.join(folder, "none"))).toThrow(WeightError);
  });
});

function f32(name: string, begin: number, end: number, shape = `[${(end - begin) / 4}]`): string {
  return `"${name}":{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;
}

describe("hostile headers", () => {
  const hostile: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["no bytes at all", new Uint8Array(0), /shorter than 8/],
    ["half a length", new Uint8Array(5), /shorter than 8/],
    ["a length over the file's", bytesOf(two, 11, 4_000n), /in a file of/],
    ["a length without bound", bytesOf(two, 11, 2n ** 63n), /at most/],
    ["a length that wraps around", bytesOf(two, 11, 2n ** 64n - 1n), /at most/],
    ["no JSON", bytesOf("{a", 0), /not JSON/],
    ["a list", bytesOf("[]", 0), /not a JSON object/],
    ["null", bytesOf("null", 0), /not a JSON object/],
    ["a byte order mark", bytesOf("\uFEFF{}", 0), /not JSON|not a JSON object/],
    ["leading space", bytesOf(" {}", 0), /not a JSON object/],
    ["text that is not UTF-8", bytesOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), /UTF-8/],
    ["a name twice", bytesOf(`{${f32("a", 0, 4)},${f32("a", 4, 8)}}`, 8), /"a" stands twice/],
    [
      "a name twice, spelt in two ways",
      bytesOf(`{${f32("a", 0, 4)},${f32("\\u0061", 4, 8)}}`, 8),
      /stands twice/,
    ],
    [
      "a field twice",
      bytesOf(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
      /"dtype" stands twice/,
    ],
    [
      "an unknown type",
      bytesOf(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}`, 4),
      /dtype/,
    ],
    ["no shape", bytesOf(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), /shape/],
    [
      "a field too many",
      bytesOf(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4),
      /x/,
    ],
    ["a negative length", bytesOf(`{${f32("a", 0, 4, "[-1]")}}`, 4), /shape/],
    ["a fractional length", bytesOf(`{${f32("a", 0, 4, "[0.5]")}}`, 4), /shape/],
    [
      "a product past all numbers",
      bytesOf(`{${f32("a", 0, 4, "[4294967296,4294967296]")}}`, 4),
      /too large/,
    ],
    [
      "zero times infinity",
      bytesOf(`{${f32("a", 0, 0, "[0,9007199254740991,9007199254740991]")}}`, 0),
      /takes|too large/,
    ],
    ["too many axes", bytesOf(`{${f32("a", 0, 4, `[${Array(64).fill(1).join()}]`)}}`, 4), /shape/],
    ["a size that is not the shape's", bytesOf(`{${f32("a", 0, 4, "[2]")}}`, 4), /needs 8/],
    ["an end before its begin", bytesOf(`{${f32("a", 4, 0, "[1]")}}`, 4), /takes -4/],
    ["an offset past the end", bytesOf(`{${f32("a", 0, 8)}}`, 4), /past the end/],
    ["an overlap", bytesOf(`{${f32("a", 0, 8)},${f32("b", 4, 12)}}`, 12), /overlaps/],
    ["a gap", bytesOf(`{${f32("a", 0, 4)},${f32("b", 8, 12)}}`, 12), /no tensor's/],
    ["bytes at the end", bytesOf(`{${f32("a", 0, 4)}}`, 8), /at the end/],
    ["bytes at the start", bytesOf(`{${f32("a", 4, 8)}}`, 8), /no tensor's/],
    ["metadata that is no text", bytesOf(`{"__metadata__":{"a":1}}`, 0), /__metadata__/],
    [
      "nesting without end",
      bytesOf(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, 0),
      /"a"/,
    ],
  ];

  it.each(hostile)("with %s are refused", async (_, bytes, message) => {
    const file = await fileOf(bytes);
    expect(() => openSafetensors(file)).toThrow(WeightError);
    expect(() => openSafetensors(file)).toThrow(message);
  });

  it("with any byte changed are refused, or read within the file", async () => {
    const good = bytesOf(two, 11);
    const file = await fileOf(good);
    await expectRefusedOrRead(good, { file, end: good.length - 11, open: openSafetensors });
  });

  it("with a hundred thousand tensors are read", async () => {
    const entries = Array.from({ length: 100_000 }, (_, at) => f32(`t${at}`, at * 4, at * 4 + 4));
    const source = open(await fileOf(bytesOf(`{${entries.join()}}`, 400_000)));
    expect(source.names()).toHaveLength(100_000);
  });
});

describe("writing", () => {
  const tensors: readonly TensorToWrite[] = [
    { name: "b", dtype: "int8", shape: [3], load: () => Int8Array.of(1, -2, 3) },
    { name: "a", dtype: "float32", shape: [1, 2], load: () => Float32Array.of(0.5, -1) },
    { name: "__proto__", dtype: "int64", shape: [], load: () => BigInt64Array.of(-5n) },
  ];

  it("gives back what was written, metadata too, the same bytes in any order", async () => {
    const [first, second] = [path.join(folder, "first"), path.join(folder, "second")];
    await writeSafetensors(first, tensors, { kind: "test" });
    await writeSafetensors(second, tensors.toReversed(), { kind: "test" });
    expect(await readFile(second)).toEqual(await readFile(first));
    const source = openSafetensors(first);
    expect(source.metadata).toEqual({ kind: "test" });
    expect(source.names()).toEqual(["__proto__", "a", "b"]);
    for (const { name, dtype, shape, load } of tensors) {
      expect(source.read(name)).toEqual({ dtype, shape, data: load() });
    }
    source.close();
  });

  it("refuses a name twice and elements that do not fill the shape", async () => {
    const [some] = tensors;
    if (some === undefined) throw new Error("no tensors");
    const file = path.join(folder, "refused");
    await expect(writeSafetensors(file, [some, some])).rejects.toThrow(/a second tensor/);
    await expect(writeSafetensors(file, [{ ...some, shape: [4] }])).rejects.toThrow(/not 4/);
  });
});

const reference = path.resolve(
  import.meta.dirname,
  "../../../shared/models/references/tiny/bert-MaskedLM/model.safetensors",
);
if (!existsSync(reference))
  console.info("Skipped: tests against ../shared/models, which is not here");

describe.skipIf(!existsSync(reference))("a file of the reference implementation", () => {
  it("is read, and written again byte for byte", async () => {
    const source = openSafetensors(reference);
    const tensors = source.names().map((name) => {
      const { dtype, shape, data } = source.read(name);
      return { name, dtype, shape, load: () => data };
    });
    const file = path.join(folder, "reference");
    await writeSafetensors(file, tensors, source.metadata);
    source.close();
    expect(await readFile(file)).toEqual(await readFile(reference));
  });
});
