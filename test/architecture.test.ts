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
import { law } from "./import-law.ts";
import { importsOf } from "./imports-of.ts";

const root = path.resolve(import.meta.dirname, "..");

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
    // A bench is no product either: it may serve the models that tests make. Nor is what runs the tests.
    const shipped = product.filter(({ room }) => !["bench", "vitest.config.ts"].includes(room));
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

  it("is the order of docs/architecture.md, which says of each room what it is", () => {
    const document = readFileSync(path.join(root, "docs/architecture.md"), "utf8");
    const [, edge = "", worker = ""] = document.split(/^### Rooms of the .*$/m);
    for (const [of, table] of Object.entries({ edge, "gpu-worker": worker })) {
      const told = [...table.matchAll(/^\| `([a-z-]+)\/`/gm)].map(([, room]) => `${of}/${room}`);
      expect(told).toEqual(
        Object.keys(law).filter((room) => /^[^/]+\/[^.]+$/.test(room) && room.startsWith(`${of}/`)),
      );
    }
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
