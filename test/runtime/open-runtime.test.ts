/** Which runtime is chosen, and what the log says of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { libraryPath } from "../../gpu-worker/runtime/c-api/library-path.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { encodeProduct } from "../../gpu-worker/runtime/probe-model.ts";
import { selfTestModel, selfTestWeights } from "../../gpu-worker/runtime/self-test.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { successor } from "./models.ts";

const folder = mkdtempSync(path.join(tmpdir(), "llm-os-runtime-"));
afterAll(() => rmSync(folder, { recursive: true }));

function listen() {
  const said: { level: "info" | "warn"; fields: object; message: string }[] = [];
  const log = {
    info: (fields: object, message: string) => void said.push({ level: "info", fields, message }),
    warn: (fields: object, message: string) => void said.push({ level: "warn", fields, message }),
  };
  return { said, log };
}

const cpu = { threads: 1, provider: "cpu" } as const;

describe("openRuntime", () => {
  it("takes the C API, and says so", async () => {
    const { said, log } = listen();
    const runtime = await openRuntime({ log });
    expect(runtime.name).toBe("c-api");
    expect(said).toEqual([
      {
        level: "info",
        fields: { runtime: "c-api", version: runtime.version, providers: ["cpu"] },
        message: `ONNX Runtime ${runtime.version}, c-api, cpu`,
      },
    ]);
  });

  it.each([
    ["is not there", () => path.join(folder, "absent.so")],
    [
      "is no library",
      () => {
        const file = path.join(folder, "text.so");
        writeFileSync(file, "not a library");
        return file;
      },
    ],
  ])("falls back to the Node binding where the library %s, and says why", async (_, make) => {
    const { said, log } = listen();
    const runtime = await openRuntime({ log, libraryFile: make() });
    expect(runtime.name).toBe("node-binding");
    expect(said[0]?.level).toBe("warn");
    expect(said[0]?.message).toContain("Node binding");
    expect(said[0]?.fields).toMatchObject({ error: expect.any(Error) });
    const session = await runtime.load({ bytes: successor() }, cpu);
    expect(await session.run({ x: float32([], [1]) })).toEqual({ y: float32([], [2]) });
    await session.release();
  });

  it("does not fall back where only the C API is wanted", async () => {
    const { log } = listen();
    const libraryFile = path.join(folder, "absent.so");
    await expect(openRuntime({ log, only: "c-api", libraryFile })).rejects.toThrow(/library/);
  });

  it("warns once where libuv's pool is too small for the sessions", async () => {
    const { said, log } = listen();
    const runtime = await openRuntime({ log, poolThreads: 5 });
    const warnings = () => said.filter(({ level }) => level === "warn");
    const first = await runtime.load({ bytes: successor() }, cpu);
    expect(warnings()).toEqual([]);
    const second = await runtime.load({ bytes: successor() }, cpu);
    await second.release();
    const third = await runtime.load({ bytes: successor() }, cpu);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.message).toContain("UV_THREADPOOL_SIZE=6");
    await Promise.all([first.release(), third.release()]);
  });
});

describe("libraryPath", () => {
  it.each([
    ["linux", "x64", "libonnxruntime.so.1"],
    ["linux", "arm64", "libonnxruntime.so.1"],
    ["darwin", "arm64", "libonnxruntime.1.dylib"],
    ["win32", "x64", "onnxruntime.dll"],
    ["win32", "arm64", "onnxruntime.dll"],
  ])("finds the library for %s/%s", (platform, arch, name) => {
    expect(path.basename(libraryPath(platform, arch))).toBe(name);
  });

  it("names a platform that onnxruntime-node ships nothing for", () => {
    expect(() => libraryPath("sunos", "x64")).toThrow(/sunos\/x64/);
    expect(() => libraryPath("linux", "s390x")).toThrow(/linux\/s390x/);
  });
});

describe("the self-test's model", () => {
  it("is what the builder makes of its product", async () => {
    const product = { operator: "MatMul", weights: selfTestWeights, output: "value" } as const;
    expect(Buffer.from(await encodeProduct(product)).toString("base64")).toBe(selfTestModel);
  });
});
