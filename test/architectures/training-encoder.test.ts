/**
 * The form of encoders that trains, beside the one that serves: the same answers of checkpoints of every family, with
 * every tensor an input that stands as the checkpoint has it.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import type { Head } from "../../gpu-worker/architectures/encoder-head.ts";
import { buildEncoder, buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { headOfCheckpoint } from "../../gpu-worker/architectures/encoder.ts";
import type { EncoderTask } from "../../gpu-worker/architectures/training-encoder.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { runGraph } from "../onnx/run-graph.ts";
import { parametersOf } from "../training/parameters-of.ts";

const root = path.join(import.meta.dirname, "checkpoints");
const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const Rows = z.array(z.array(z.int()));
const Reference = z.object({
  input_ids: Rows,
  attention_mask: Rows,
  token_type_ids: Rows.optional(),
});

function readJson(name: string, file: string): unknown {
  return JSON.parse(readFileSync(path.join(root, name, file), "utf8"));
}

function feedsOf(name: string): { feeds: Record<string, Tensor>; mask: number[] } {
  const {
    input_ids: ids,
    attention_mask: mask,
    token_type_ids: types,
  } = Reference.parse(readJson(name, "expected.json"));
  const shape = [ids.length, ids[0]?.length ?? 0];
  const given = types ?? ids.map((row) => row.map(() => 0));
  const feeds = {
    input_ids: int64(shape, ids.flat()),
    attention_mask: int64(shape, mask.flat()),
    token_type_ids: int64(shape, given.flat()),
  };
  return { feeds, mask: mask.flat() };
}

/** The task that has the head, and the head as it serves so. */
function taskOf(head: Head): { task: EncoderTask; served: Head; outputs: string[] } {
  switch (head.name) {
    case "sequence-classification":
      return {
        task: { name: head.name, problem: "single_label" },
        served: head,
        outputs: ["logits"],
      };
    case "token-classification":
      return { task: { name: head.name }, served: head, outputs: ["logits"] };
    case "question-answering":
      return { task: { name: head.name }, served: head, outputs: ["start_logits", "end_logits"] };
    case "masked-lm":
      return {
        task: { name: head.name },
        served: { name: head.name, at: "positions" },
        outputs: ["logits"],
      };
    case "none":
    case "sentence": {
      const served = { name: "sentence", pooling: ["mean", "max"], normalize: true } as const;
      const task = { name: "similarity", pooling: served.pooling, by: "contrast" } as const;
      return { task, served, outputs: ["sentence_embedding"] };
    }
  }
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, at) => Math.abs(value - (b[at] ?? NaN))));
}

describe("the form that trains answers as the one that serves", () => {
  it.each(names)("%s", async (name) => {
    const config = readJson(name, "config.json");
    const weights = openSafetensors(path.join(root, name, "model.safetensors"));
    try {
      const { feeds, mask } = feedsOf(name);
      const { task, served, outputs } = taskOf(headOfCheckpoint(config));
      const masked = mask.flatMap((real, at) => (real === 1 ? [at] : []));
      const given = { ...feeds, positions: int64([masked.length], masked) };
      const expected = await runGraph(
        buildEncoder(config, weights, { head: served, form: "f32" }),
        given,
      );
      for (const packed of [false, true]) {
        const options = { task, packed, labelled: false, isInput: () => true };
        const graph = buildTrainingEncoder(config, weights, options);
        const found = await runGraph(graph, { ...given, ...parametersOf(graph, weights) });
        for (const output of outputs) {
          const [ours, theirs] = [found, expected].map((results) => results[output]);
          const [texts = 0, sequence = 0] = feeds["input_ids"]?.shape ?? [];
          const perToken = ours?.shape[1] === sequence;
          const firsts = Array.from({ length: texts }, (_, text) => mask[text * sequence]);
          const counts = perToken ? mask : task.name === "masked-lm" ? [1] : firsts;
          const each = (ours?.data.length ?? 0) / counts.length;
          // What a head says of padding is no answer, be it that a text begins with it.
          const kept = (data: number[] = []) =>
            data.filter((_, at) => counts[Math.floor(at / each)] === 1);
          expect(farthest(kept(ours?.data), kept(theirs?.data))).toBeLessThan(1e-5);
        }
      }
    } finally {
      weights.close();
    }
  });
});
