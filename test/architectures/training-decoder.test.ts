/**
 * The form of decoders that trains, beside the one that serves: the same logits of decoders of every family, of texts
 * that share a row.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { buildDecoder, buildTrainingDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { runGraph } from "../onnx/run-graph.ts";
import { parametersOf } from "../training/parameters-of.ts";
import { packTexts } from "../training/pack-texts.ts";

const root = path.join(import.meta.dirname, "decoders");
const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const Reference = z.object({
  input_ids: z.array(z.array(z.int())),
  attention_mask: z.array(z.array(z.int())),
});

/** Longer than any text's positions. */
const rowLength = 64;

describe("the form that trains answers as the one that serves", () => {
  it.each(names)("%s", async (name) => {
    const read = (file: string): unknown =>
      JSON.parse(readFileSync(path.join(root, name, file), "utf8"));
    const { input_ids: ids, attention_mask: mask } = Reference.parse(read("expected.json"));
    const texts = ids.map((row, at) => row.filter((_, column) => mask[at]?.[column] === 1));
    const weights = openSafetensors(path.join(root, name, "model.safetensors"));
    try {
      const config = read("config.json");
      const served = buildDecoder(config, weights, { positions: 32 });
      const expected: number[] = [];
      for (const text of texts) {
        const { logits } = await runGraph(served, wholeText(served, text));
        expected.push(...(logits?.data ?? []));
      }
      const options = { positions: 32, gives: "logits" as const, isInput: () => true };
      const graph = buildTrainingDecoder(config, weights, options);
      const packed = packTexts([texts, texts.toReversed()], rowLength);
      const { logits } = await runGraph(graph, { ...packed, ...parametersOf(graph, weights) });
      expect(logits?.data.length).toBe(2 * expected.length);
      const first = logits?.data.slice(0, expected.length) ?? [];
      const apart = first.map((value, at) => Math.abs(value - (expected[at] ?? NaN)));
      expect(Math.max(...apart)).toBeLessThan(1e-5 * Math.max(1, ...expected.map(Math.abs)));
    } finally {
      weights.close();
    }
  });
});
