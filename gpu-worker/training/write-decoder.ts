/** A tuned decoder as a checkpoint folder that transformers and the catalogue read. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { writeAtomically } from "../files/write-atomically.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { copyTexts, json, tokenizerFiles, writeWeights } from "./write-checkpoint.ts";

export type TunedDecoder = {
  /** The base's folder and its config.json. */
  readonly base: { readonly folder: string; readonly config: unknown };
  /** Has what was trained, and the rest. */
  readonly weights: WeightSource;
  /** The tensors that the model reads. */
  readonly names: readonly string[];
  /** README.md. */
  readonly card: string;
};

/** That say how it is read and asked, and stay as they are. */
const otherFiles = [
  ...tokenizerFiles,
  "tokenizer_config.json",
  "chat_template.jinja",
  "generation_config.json",
];

/** The config comes last, because it makes the folder a model: nobody takes one that is half written. */
export async function writeDecoder(
  out: string,
  { base, weights, names, card }: TunedDecoder,
): Promise<void> {
  await mkdir(out, { recursive: true });
  await writeWeights(out, weights, new Map(names.map((name) => [name, name])));
  await copyTexts(base.folder, otherFiles, out);
  await writeAtomically(path.join(out, "README.md"), card);
  const { dtype: _, ...config } = z.looseObject({}).parse(base.config);
  await writeAtomically(path.join(out, "config.json"), json({ ...config, torch_dtype: "float32" }));
}
