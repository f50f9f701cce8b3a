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
import type { ExternalPlace } from "./encode-model.ts";
import type { Graph, Initializer } from "./graph.ts";
import { writeBytes } from "./write-bytes.ts";

/** Windows maps files at multiples of this; also the size from which a constant is worth a place of its own. */
const MAP_ALIGNMENT_BYTES = 65_536;

type Placed = { readonly initializer: Initializer; readonly place: ExternalPlace };

function layOut(graph: Graph, location: string): Placed[] {
  const placed: Placed[] = [];
  let offset = 0;
  for (const initializer of graph.initializers) {
    const length = elementCount(initializer.shape) * bytesPerElement(initializer.dtype);
    if (length < MAP_ALIGNMENT_BYTES) continue;
    placed.push({ initializer, place: { location, offset, length } });
    offset = Math.ceil((offset + length) / MAP_ALIGNMENT_BYTES) * MAP_ALIGNMENT_BYTES;
  }
  return placed;
}

async function writeConstants(file: string, placed: readonly Placed[], signal?: AbortSignal) {
  const handle = await open(file, "w");
  try {
    for (const { initializer, place } of placed) {
      signal?.throwIfAborted();
      await writeBytes(handle, bytesOf(initializer.load()), place.offset);
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
  const placed = layOut(graph, path.basename(dataFile));
  if (placed.length > 0) await writeConstants(dataFile, placed, signal);
  const places = new Map(placed.map(({ initializer, place }) => [initializer.name, place]));
  await writeFile(
    file,
    encodeModel(graph, ({ name }) => places.get(name) ?? null),
  );
  return placed.length > 0 ? [file, dataFile] : [file];
}
