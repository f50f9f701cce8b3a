/**
 * A ready-made ONNX file in place of a checkpoint's weights: where it may lie, and the sizes that are read of
 * config.json for it. The file runs as it is, so its family need not be one that we build.
 */
import { stat } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import type { EncoderSizes } from "../architectures/encoder.ts";
import type { ConfigFile } from "./checkpoint-files.ts";

/** The first that is there is served. */
export const onnxNames = [
  "model.onnx",
  "onnx/model.onnx",
  "model_quantized.onnx",
  "onnx/model_quantized.onnx",
] as const;

/** What exporters call the constants of a large model, which lie beside it. */
const dataEndings = ["_data", ".data"] as const;

/** Names of files that an ONNX file at `name` may keep its constants in. */
export function onnxDataNames(name: string): string[] {
  return dataEndings.map((ending) => name + ending);
}

async function bytesOf(file: string): Promise<number | null> {
  const found = await stat(file).catch(() => null);
  return found?.isFile() === true ? found.size : null;
}

/** @returns null where the folder holds none */
export async function findOnnxFile(
  folder: string,
): Promise<{ file: string; bytes: number } | null> {
  for (const name of onnxNames) {
    const file = path.join(folder, name);
    const bytes = await bytesOf(file);
    if (bytes === null) continue;
    const data = await Promise.all(onnxDataNames(file).map(bytesOf));
    return { file, bytes: data.reduce<number>((sum, size) => sum + (size ?? 0), bytes) };
  }
  return null;
}

const size = z.int().positive().nullish();

const SizesFile = z.looseObject({
  hidden_size: size,
  dim: size,
  d_model: size,
  n_embd: size,
  max_position_embeddings: size,
  n_positions: size,
  vocab_size: size,
  pad_token_id: z.int().nonnegative().nullish(),
});

/** Families that count positions from the one after the padding token's: the rows before it are not used. */
const countFromPadding: ReadonlySet<string> = new Set([
  "camembert",
  "data2vec-text",
  "ibert",
  "longformer",
  "mpnet",
  "roberta",
  "roberta-prelayernorm",
  "xlm-roberta",
  "xlm-roberta-xl",
  "xmod",
]);
/** Of all these families, where config.json does not say. */
const usualPadding = 1;

function firstOf(what: string, fields: Record<string, number | null | undefined>): number {
  const found = Object.values(fields).find((value) => typeof value === "number");
  if (found !== undefined) return found;
  const names = Object.keys(fields).join(" or ");
  throw new Error(`config.json does not say ${what}: ${names} is missing`);
}

/** @throws Error for a config that leaves a size open */
export function onnxSizes(config: ConfigFile): EncoderSizes {
  const parsed = SizesFile.safeParse(config);
  if (!parsed.success) throw new Error(`config.json: ${z.prettifyError(parsed.error)}`);
  const { hidden_size, dim, d_model, n_embd, vocab_size, ...file } = parsed.data;
  const { max_position_embeddings, n_positions, pad_token_id } = file;
  const rows = firstOf("how long an input may be", { max_position_embeddings, n_positions });
  const unused = countFromPadding.has(config.model_type) ? (pad_token_id ?? usualPadding) + 1 : 0;
  if (rows <= unused) {
    throw new Error("config.json: max_position_embeddings leaves no room for a token");
  }
  return {
    positions: rows - unused,
    hidden: firstOf("the size of its vectors", { hidden_size, dim, d_model, n_embd }),
    vocabulary: firstOf("the size of its vocabulary", { vocab_size }),
  };
}
