/**
 * A graph as files: `path`, and beside it `path.data` with the large constants, each at an offset that ONNX Runtime
 * can map into memory on every platform. Constants pass through one at a time. Does not rename or clean up: the caller
 * writes into a folder of its own and moves it into place when whole.
 */
import { open, writeFile } from "node:fs/promises";
import path from "node:path";
import { bytesPerElement } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/tensor.ts";
import { encodeModel } from "./encode-model.ts";
import type { ExternalData } from "./external-data.ts";
import type { Graph, Initializer } from "./graph.ts";
import { writeBytes } from "./write-bytes.ts";

/** Windows maps files at multiples of this; also the size from which a constant is worth one of its own. */
const mapAlignmentBytes = 65_536;

function layOut(graph: Graph, location: string): Map<Initializer, ExternalData> {
  const external = new Map<Initializer, ExternalData>();
  let offset = 0;
  for (const initializer of graph.initializers) {
    const length = elementCount(initializer.shape) * bytesPerElement(initializer.dtype);
    if (length < mapAlignmentBytes) continue;
    external.set(initializer, { location, offset, length });
    offset = Math.ceil((offset + length) / mapAlignmentBytes) * mapAlignmentBytes;
  }
  return external;
}

async function writeConstants(
  file: string,
  external: ReadonlyMap<Initializer, ExternalData>,
  signal?: AbortSignal,
): Promise<void> {
  const handle = await open(file, "w");
  try {
    for (const [initializer, { offset }] of external) {
      signal?.throwIfAborted();
      await writeBytes(handle, bytesOf(initializer.load()), offset);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Files written: the model, and the data file if any constant was large enough for it. */
export async function writeModel(
  graph: Graph,
  file: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const dataFile = `${file}.data`;
  const external = layOut(graph, path.basename(dataFile));
  if (external.size > 0) await writeConstants(dataFile, external, signal);
  const externalDataOf = (initializer: Initializer) => external.get(initializer) ?? null;
  await writeFile(file, await encodeModel(graph, externalDataOf));
  return external.size > 0 ? [file, dataFile] : [file];
}
