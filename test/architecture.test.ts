/**
 * The import law of the rooms, and the budgets of size. Reads the imports themselves, type-only ones included: what a
 * file names, it depends on.
 */
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { execFileSync } from "node:child_process";
import { parse } from "acorn";
import { full } from "acorn-walk";
import { describe, expect, it } from "vitest";
import { importsOf } from "./imports-of.ts";

const root = path.resolve(import.meta.dirname, "..");

/** Room → rooms of ours it may import besides itself. `*` may import anything and is imported by nothing. */
const law: Record<string, string[] | "*"> = {
  contract: [],
  "edge/environment.ts": ["contract"],
  "edge/context.ts": ["contract", "edge/environment.ts"],
  "edge/http": edgeRooms(),
  "edge/storage": edgeRooms("http"),
  "edge/registry": edgeRooms("storage"),
  "edge/accounts": edgeRooms("http"),
  "edge/answers": edgeRooms("http", "storage", "registry"),
  "edge/webhooks": edgeRooms("http", "storage", "answers"),
  "edge/jobs": edgeRooms("http", "storage", "registry", "accounts", "answers", "webhooks"),
  "edge/files": edgeRooms("http", "storage", "accounts", "answers", "jobs"),
  "edge/fine-tuning": edgeRooms(
    "http",
    "storage",
    "registry",
    "accounts",
    "answers",
    "jobs",
    "files",
  ),
  "edge/learning": edgeRooms("http", "storage", "registry", "files", "fine-tuning"),
  "edge/responses": edgeRooms("http", "storage", "accounts", "answers", "jobs"),
  "edge/tasks": edgeRooms("http", "storage", "registry", "accounts", "answers", "webhooks", "jobs"),
  "edge/prompts": [
    ...edgeRooms("http", "storage", "registry", "accounts", "answers", "jobs", "files"),
    "edge/tasks",
  ],
  "edge/portal": edgeRooms("registry"),
  "edge/routes": [
    ...edgeRooms("http", "storage", "registry", "accounts", "answers", "webhooks", "jobs"),
    ...edgeRooms("files", "fine-tuning", "learning", "responses", "tasks", "prompts", "portal"),
  ],
  "edge/openapi": [
    ...edgeRooms("http", "answers", "webhooks", "tasks", "files", "fine-tuning"),
    "edge/prompts",
    "edge/routes",
  ],
  /** The Worker itself: what it exports, and the table of addresses. */
  edge: [
    ...edgeRooms("http", "registry", "accounts", "answers", "jobs", "files", "fine-tuning"),
    ...edgeRooms("learning", "responses", "prompts", "routes", "openapi"),
  ],
  "gpu-worker/tensor": [],
  "gpu-worker/event-loop": [],
  "gpu-worker/files": [],
  "gpu-worker/onnx": ["gpu-worker/tensor"],
  "gpu-worker/autodiff": ["gpu-worker/onnx", "gpu-worker/tensor"],
  "gpu-worker/weights": ["gpu-worker/tensor", "gpu-worker/onnx"],
  "gpu-worker/tokenizer": ["gpu-worker/event-loop", "gpu-worker/files"],
  "gpu-worker/runtime": ["gpu-worker/event-loop", "gpu-worker/onnx", "gpu-worker/tensor"],
  "gpu-worker/model": [
    "contract",
    "gpu-worker/runtime",
    "gpu-worker/tensor",
    "gpu-worker/tokenizer",
  ],
  "gpu-worker/architectures": [
    "gpu-worker/model",
    "gpu-worker/weights",
    "gpu-worker/onnx",
    "gpu-worker/tensor",
  ],
  "gpu-worker/downloads": ["contract", "gpu-worker/files"],
  "gpu-worker/checkpoints": [
    "contract",
    "gpu-worker/files",
    "gpu-worker/model",
    "gpu-worker/tokenizer",
    "gpu-worker/architectures",
    "gpu-worker/weights",
  ],
  "gpu-worker/compute-form": [
    "gpu-worker/event-loop",
    "gpu-worker/files",
    "gpu-worker/model",
    "gpu-worker/tokenizer",
    "gpu-worker/checkpoints",
    "gpu-worker/architectures",
    "gpu-worker/weights",
    "gpu-worker/onnx",
    "gpu-worker/runtime",
    "gpu-worker/tensor",
  ],
  "gpu-worker/graphs": [
    "gpu-worker/event-loop",
    "gpu-worker/files",
    "gpu-worker/model",
    "gpu-worker/checkpoints",
    "gpu-worker/compute-form",
    "gpu-worker/architectures",
    "gpu-worker/weights",
    "gpu-worker/onnx",
    "gpu-worker/runtime",
    "gpu-worker/tensor",
  ],
  "gpu-worker/catalog": [
    "contract",
    "gpu-worker/event-loop",
    "gpu-worker/files",
    "gpu-worker/model",
    "gpu-worker/tokenizer",
    "gpu-worker/downloads",
    "gpu-worker/checkpoints",
    "gpu-worker/compute-form",
    "gpu-worker/graphs",
    "gpu-worker/architectures",
    "gpu-worker/runtime",
  ],
  "gpu-worker/cuda": ["gpu-worker/files", "gpu-worker/downloads"],
  "gpu-worker/batching": ["gpu-worker/model"],
  "gpu-worker/datasets": ["contract", "gpu-worker/event-loop", "gpu-worker/tokenizer"],
  "gpu-worker/fit": ["gpu-worker/event-loop", "gpu-worker/tensor"],
  "gpu-worker/evaluation": ["contract", "gpu-worker/tensor"],
  "gpu-worker/llm": [
    "contract",
    "gpu-worker/batching",
    "gpu-worker/model",
    "gpu-worker/runtime",
    "gpu-worker/tensor",
  ],
  "gpu-worker/tool-calls": ["contract", "gpu-worker/tokenizer"],
  "gpu-worker/pipelines": [
    "contract",
    "gpu-worker/datasets",
    "gpu-worker/evaluation",
    "gpu-worker/event-loop",
    "gpu-worker/fit",
    "gpu-worker/llm",
    "gpu-worker/model",
    "gpu-worker/tokenizer",
    "gpu-worker/tool-calls",
    "gpu-worker/tensor",
  ],
  "gpu-worker/training": [
    "contract",
    "gpu-worker/event-loop",
    "gpu-worker/files",
    "gpu-worker/model",
    "gpu-worker/fit",
    "gpu-worker/datasets",
    "gpu-worker/evaluation",
    "gpu-worker/tokenizer",
    "gpu-worker/checkpoints",
    "gpu-worker/compute-form",
    "gpu-worker/graphs",
    "gpu-worker/autodiff",
    "gpu-worker/architectures",
    "gpu-worker/pipelines",
    "gpu-worker/weights",
    "gpu-worker/onnx",
    "gpu-worker/runtime",
    "gpu-worker/tensor",
  ],
  "gpu-worker/telemetry": [],
  "gpu-worker/jobs": [
    "contract",
    "gpu-worker/event-loop",
    "gpu-worker/model",
    "gpu-worker/tokenizer",
    "gpu-worker/tool-calls",
    "gpu-worker/pipelines",
    "gpu-worker/batching",
    "gpu-worker/llm",
    "gpu-worker/telemetry",
  ],
  "gpu-worker/config.ts": ["contract"],
  "gpu-worker/tuning-jobs": [
    "contract",
    "gpu-worker/config.ts",
    "gpu-worker/event-loop",
    "gpu-worker/files",
    "gpu-worker/checkpoints",
    "gpu-worker/runtime",
    "gpu-worker/catalog",
    "gpu-worker/datasets",
    "gpu-worker/training",
    "gpu-worker/telemetry",
    "gpu-worker/jobs",
  ],
  "gpu-worker/cli": "*",
  "gpu-worker/main.ts": "*",
  "gpu-worker/train.ts": "*",
  infra: ["contract"],
  bench: "*",
  examples: "*",
  test: "*",
  "vitest.config.ts": "*",
};

/** What every room of the edge may import, and those named. */
function edgeRooms(...names: string[]): string[] {
  return [
    "contract",
    "edge/environment.ts",
    "edge/context.ts",
    ...names.map((name) => `edge/${name}`),
  ];
}

type SourceFile = { file: string; text: string; room: string; imports: string[] };

const rooms = Object.keys(law).toSorted((a, b) => b.length - a.length);

function roomOf(file: string): string {
  const room = rooms.find((name) => file === name || file.startsWith(`${name}/`));
  if (room === undefined) throw new Error(`${file} lies in no room: give it one in the law`);
  return room;
}

function readSources(): SourceFile[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return listed
    .split("\n")
    .filter((file) => /\.m?ts$/.test(file) && !file.endsWith(".d.ts") && !file.startsWith("."))
    .map((file) => {
      const text = readFileSync(path.join(root, file), "utf8");
      return { file, text, room: roomOf(file), imports: importsOf(file, text) };
    });
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  const allowed = law[from];
  return allowed === "*" ? true : (allowed ?? []).includes(to);
}

/** The first cycle found, as the list of its files, or null. */
function findCycle(sources: SourceFile[]): string[] | null {
  const byFile = new Map(sources.map((source) => [source.file, source]));
  const done = new Set<string>();
  const visit = (file: string, trail: string[]): string[] | null => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const next of byFile.get(file)?.imports ?? []) {
      const cycle = visit(next, [...trail, file]);
      if (cycle !== null) return cycle;
    }
    done.add(file);
    return null;
  };
  for (const { file } of sources) {
    const cycle = visit(file, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** Lines of each function, types stripped in place so that line numbers hold. */
function functionLengths(source: SourceFile): { where: string; lines: number }[] {
  const tree = parse(stripTypeScriptTypes(source.text), {
    ecmaVersion: "latest",
    sourceType: "module",
    locations: true,
  });
  const lengths: { where: string; lines: number }[] = [];
  full(tree, (node) => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type))
      return;
    const start = node.loc?.start.line ?? 0;
    const lines = (node.loc?.end.line ?? 0) - start + 1;
    lengths.push({ where: `${source.file}:${start}`, lines });
  });
  return lengths;
}

/** The worker's entry hands its commands on to the room of commands. */
function isEntry(file: string, target: string): boolean {
  return file === "gpu-worker/main.ts" && roomOf(target) === "gpu-worker/cli";
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

const sources = readSources();
const product = sources.filter(({ room }) => room !== "test");

describe("the import law", () => {
  it("lets no room import what it may not", () => {
    const broken = sources.flatMap(({ file, room, imports }) =>
      imports
        .filter((target) => !mayImport(room, roomOf(target)))
        .map((target) => `${file} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("lets nothing of the product import a composition root, a bench or a test", () => {
    const tops = Object.keys(law).filter((room) => law[room] === "*");
    // A bench is no product either: it may serve the models that tests make.
    const shipped = product.filter(({ room }) => room !== "bench");
    const broken = shipped.flatMap(({ file, room, imports }) =>
      imports
        .filter((target) => tops.includes(roomOf(target)) && roomOf(target) !== room)
        .filter((target) => !isEntry(file, target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("is in the order in which rooms build on each other: each may import those above it alone", () => {
    const order = Object.keys(law);
    const upwards = Object.entries(law).flatMap(([room, allowed], at) =>
      (allowed === "*" ? [] : allowed)
        .filter((other) => order.indexOf(other) >= at)
        .map((other) => `${room} may import ${other}`),
    );
    expect(upwards).toEqual([]);
  });

  it("leaves few files of the edge outside its rooms", () => {
    const loose = product.filter(({ file }) => /^edge\/[^/]+$/.test(file));
    expect(loose.length).toBeLessThanOrEqual(5);
  });

  it("has no cycle, type-only imports included", () => {
    expect(findCycle(sources)).toBeNull();
  });

  it("imports only files that exist", () => {
    const known = new Set(sources.map(({ file }) => file));
    const lost = sources.flatMap(({ file, imports }) =>
      imports
        .filter((target) => /\.m?ts$/.test(target) && !known.has(target))
        .map((target) => `${file} → ${target}`),
    );
    expect(lost).toEqual([]);
  });

  it("touches ONNX Runtime in gpu-worker/runtime alone", () => {
    const touching = product.filter(
      ({ file, text }) =>
        /from "(onnxruntime-node|koffi)"/.test(text) &&
        !/^(gpu-worker\/runtime|bench)\//.test(file),
    );
    expect(touching.map(({ file }) => file)).toEqual([]);
  });

  it("reads the environment in config.ts, the edge's environment.ts and composition roots alone", () => {
    const reading = product.filter(
      ({ file, text }) =>
        /\bprocess\.env\b/.test(text) &&
        !/^(gpu-worker\/(config|main|train)\.ts|gpu-worker\/cli\/|infra\/|bench\/|examples\/)/.test(
          file,
        ),
    );
    expect(reading.map(({ file }) => file)).toEqual([]);
  });
});

describe("the budgets", () => {
  it("keeps files to 400 lines, and half of them to 100", () => {
    const lines = sources.map(({ file, text }) => ({ file, lines: text.split("\n").length - 1 }));
    expect(lines.filter((entry) => entry.lines > 400)).toEqual([]);
    expect(
      median(lines.filter(({ file }) => !file.startsWith("test/")).map((entry) => entry.lines)),
    ).toBeLessThanOrEqual(100);
  });

  it("keeps functions to 80 lines, and half of them to 12", () => {
    const lengths = product.flatMap(functionLengths);
    expect(lengths.filter(({ lines }) => lines > 80)).toEqual([]);
    expect(median(lengths.map(({ lines }) => lines))).toBeLessThanOrEqual(12);
  });
});
