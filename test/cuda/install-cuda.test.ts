/** The CUDA provider out of made-up wheels, by a stand-in for pip; and what the linker misses, by the real ldd. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CudaWheel } from "../../gpu-worker/cuda/cuda-wheels.ts";
import { cudaWheels } from "../../gpu-worker/cuda/cuda-wheels.ts";
import {
  type InstallOptions,
  installCuda,
  isInstalled,
} from "../../gpu-worker/cuda/install-cuda.ts";
import { missingLibraries } from "../../gpu-worker/cuda/missing-libraries.ts";
import { libraryPath } from "../../gpu-worker/runtime/c-api/library-path.ts";
import { writeZip } from "../downloads/write-zip.ts";

let place: string;
let folder: string;
beforeEach(async () => {
  place = await mkdtemp(path.join(tmpdir(), "llm-os-cuda-"));
  folder = path.join(place, "state", "cuda");
});
afterEach(() => rm(place, { recursive: true, force: true }));

const never = new AbortController().signal;
const one = Buffer.from("first library");
const two = Buffer.from("second library, of another wheel");

/** A wheel with a library and, as real ones have, code that is to stay inside. */
function madeWheel(name: string, library: string, content: Buffer) {
  const bytes = writeZip({
    [`${name}/__init__.py`]: Buffer.from("raise SystemExit"),
    [`${name}/lib/${library}`]: content,
    [`${name}/lib/libother.so`]: Buffer.from("not asked for"),
  });
  const wheel: CudaWheel = {
    requirement: `${name}==1.0`,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    bytes: bytes.length,
    platform: ["--platform", "made_up"],
    folder: `${name}/lib/`,
    libraries: { [library]: content.length },
  };
  return { wheel, bytes, name };
}

const first = madeWheel("first", "liba.so.1", one);
const second = madeWheel("second", "libb.so.2", two);

/** A command that acts as pip, gives the wheels it was given, and notes what it was asked. */
async function pipThatGives(made: readonly { name: string; bytes: Buffer }[]) {
  const tools = await mkdtemp(path.join(place, "pip-"));
  for (const { name, bytes } of made) {
    await writeFile(path.join(tools, `${name}-1.0-py3-none-any.whl`), bytes);
  }
  const script = path.join(tools, "pip.mjs");
  const source = `
    import { appendFileSync, copyFileSync } from "node:fs";
    const at = (name) => new URL(name, import.meta.url);
    appendFileSync(at("asked"), JSON.stringify([process.argv.slice(2), process.env.TMPDIR]) + "\\n");
    const into = process.argv[process.argv.indexOf("--dest") + 1];
    const wheel = process.argv.at(-1).replace("==", "-") + "-py3-none-any.whl";
    copyFileSync(at(wheel), into + "/" + wheel);`;
  await writeFile(script, source);
  const asked = async (): Promise<[string[], string][]> => {
    const text = await readFile(path.join(tools, "asked"), "utf8").catch(() => "");
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  };
  return { pythonCommands: [[process.execPath, script]] as const, asked };
}

function install(options: Pick<InstallOptions, "pythonCommands"> & Partial<InstallOptions>) {
  const wheels = [first.wheel, second.wheel];
  const rest = { environment: process.env, signal: never, onProgress: () => undefined };
  return installCuda({ folder, wheels, ...rest, ...options });
}

const problemOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "no problem at all",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

describe("installing the provider", () => {
  it("brings the libraries that are named, side by side, and nothing else of the wheels", async () => {
    const pip = await pipThatGives([first, second]);
    const progress: (number | null)[][] = [];
    await install({
      ...pip,
      onProgress: ({ bytes, totalBytes }) => void progress.push([bytes, totalBytes]),
    });
    const names = (await readdir(folder)).toSorted();
    expect(names).toEqual(["liba.so.1", "libb.so.2", "llm-os-source.json"]);
    expect((await readFile(path.join(folder, "libb.so.2"))).equals(two)).toBe(true);
    expect(await readdir(path.dirname(folder))).toEqual(["cuda"]);
    expect(await isInstalled(folder, [first.wheel, second.wheel])).toBe(true);
    const total = first.bytes.length + second.bytes.length;
    expect(progress[0]).toEqual([0, total]);
    expect(progress.at(-1)).toEqual([total, total]);
  });

  it("asks pip for the pinned platform, and has it gather beside the folder", async () => {
    const pip = await pipThatGives([first, second]);
    await install(pip);
    const [[parameters, temporary] = [[], ""]] = await pip.asked();
    expect(parameters.join(" ")).toContain("--no-deps --only-binary :all:");
    expect(parameters.join(" ")).toContain("--platform made_up");
    expect(parameters.at(-1)).toBe("first==1.0");
    expect(temporary).toBe(path.join(`${folder}.partial`, "wheel"));
  });

  it("goes on after an interruption, and asks for no wheel twice", async () => {
    const broken = await pipThatGives([first]);
    expect(await problemOf(install(broken))).toContain("pip could not download second==1.0");
    expect(existsSync(folder)).toBe(false);
    const pip = await pipThatGives([first, second]);
    await install(pip);
    expect((await pip.asked()).map(([parameters]) => parameters.at(-1))).toEqual(["second==1.0"]);
    expect((await readFile(path.join(folder, "liba.so.1"))).equals(one)).toBe(true);
    await install(pip);
    expect(await pip.asked()).toHaveLength(1);
  });

  it("unpacks a library anew that was cut off", async () => {
    const partial = `${folder}.partial`;
    await mkdir(partial, { recursive: true });
    await writeFile(path.join(partial, "liba.so.1"), one.subarray(1));
    await install(await pipThatGives([first, second]));
    expect((await readFile(path.join(folder, "liba.so.1"))).equals(one)).toBe(true);
  });

  it("keeps what is there until all of a newer table is here", async () => {
    await install(await pipThatGives([first, second]));
    const newer = madeWheel("third", "libc.so.3", one);
    const wheels = [newer.wheel];
    expect(await isInstalled(folder, wheels)).toBe(false);
    await problemOf(install({ ...(await pipThatGives([])), wheels }));
    expect(await isInstalled(folder, [first.wheel, second.wheel])).toBe(true);
    await install({ ...(await pipThatGives([newer])), wheels });
    expect((await readdir(folder)).toSorted()).toEqual(["libc.so.3", "llm-os-source.json"]);
  });

  it("refuses a wheel with other bytes, one without the library, and a machine without Python", async () => {
    const other = { ...first, bytes: Buffer.concat([first.bytes, Buffer.from("more")]) };
    expect(await problemOf(install(await pipThatGives([other, second])))).toContain(
      "sha256 differs",
    );
    const wheels = [{ ...first.wheel, libraries: { "libz.so.9": 1 } }];
    expect(await problemOf(install({ ...(await pipThatGives([first])), wheels }))).toContain(
      "first==1.0 holds no first/lib/libz.so.9",
    );
    expect(await problemOf(install({ pythonCommands: [["no-such-python"]] }))).toMatch(
      /Python is not on this machine.*install Python 3 with pip/,
    );
    expect(existsSync(folder)).toBe(false);
  });

  it("ends with the signal, and leaves no half-made folder", async () => {
    const controller = new AbortController();
    const pip = await pipThatGives([first, second]);
    const reason = new Error("interrupted");
    const onProgress = ({ bytes }: { bytes: number }) => {
      if (bytes > 0) controller.abort(reason);
    };
    const installing = install({ ...pip, signal: controller.signal, onProgress });
    await expect(installing).rejects.toBe(reason);
    expect(existsSync(folder)).toBe(false);
  });
});

const linux = process.platform === "linux" && process.arch === "x64";
if (!linux) console.info("Skipped: what the linker misses, which is asked of Linux's ldd");

/** A library that needs the others named, by a table of contents as the linker reads it. */
async function libraryNeeding(name: string, needed: readonly string[]) {
  const gcc = ["-shared", "-o", path.join(folder, name), "-x", "c", "/dev/null"];
  for (const each of needed) {
    const stub = path.join(place, each);
    if (!existsSync(stub)) {
      execFileSync("gcc", ["-shared", "-o", stub, `-Wl,-soname,${each}`, "-x", "c", "/dev/null"]);
    }
    gcc.push("-x", "none", "-Wl,--no-as-needed", stub);
  }
  execFileSync("gcc", gcc);
}

describe.skipIf(!linux)("what the linker misses", () => {
  it("is nothing for ONNX Runtime's own library under the provider's name", async () => {
    await mkdir(folder, { recursive: true });
    const provider = path.join(folder, "libonnxruntime_providers_cuda.so");
    await cp(libraryPath("linux", "x64"), provider);
    expect(await missingLibraries(folder, never)).toEqual([]);
    await rm(provider);
    await expect(missingLibraries(folder, never)).rejects.toThrow(/holds no libonnxruntime_/);
  });

  it.skipIf(!existsSync("/usr/bin/gcc"))(
    "is named with who needs it; the driver's library is not missed, one in the folder is found",
    async () => {
      await mkdir(folder, { recursive: true });
      const provider = "libonnxruntime_providers_cuda.so";
      await libraryNeeding(provider, ["libcuda.so.1", "libcublas.so.13", "libcudart.so.13"]);
      await cp(path.join(place, "libcudart.so.13"), path.join(folder, "libcudart.so.13"));
      expect(await missingLibraries(folder, never)).toEqual([`${provider} needs libcublas.so.13`]);
    },
  );

  /** Filled by `LLM_OS_CUDA=DIR npm run worker -- install-cuda`. */
  const installed = process.env["LLM_OS_CUDA"] ?? "";
  const here = installed !== "" && existsSync(installed);
  if (!here)
    console.info("Skipped: the real provider's libraries, since LLM_OS_CUDA names no folder");

  it.skipIf(!here)(
    "is nothing for the real provider, whose libraries have the sizes of the table",
    async () => {
      expect(await missingLibraries(installed, never)).toEqual([]);
      for (const { libraries } of cudaWheels) {
        for (const [name, bytes] of Object.entries(libraries)) {
          expect(statSync(path.join(installed, name)).size).toBe(bytes);
        }
      }
    },
  );
});
