/** The int8 form's ranges are those of the accuracy texts as the checkpoint's own tokenizer reads them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readCheckpoint } from "../../gpu-worker/checkpoints/checkpoint.ts";
import {
  accuracyQuestion,
  accuracyTexts,
} from "../../gpu-worker/compute-form/int8-accuracy-texts.ts";
import { measureRanges } from "../../gpu-worker/compute-form/measure-ranges.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { type TinyHead, writeTinyCheckpoint } from "../catalog/tiny-onnx.ts";

const { signal } = new AbortController();
const opened = openRuntime({ log: { info: () => undefined, warn: () => undefined } });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-ranges-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

type Run = { ids: number[]; mask: number[]; ranges: Record<string, ArrayLike<number>> };

/** The runtime, and what was run with it. */
async function recording(): Promise<{ runtime: Runtime; runs: Run[] }> {
  const runtime = await opened;
  const runs: Run[] = [];
  const load: Runtime["load"] = async (model, options) => {
    const session = await runtime.load(model, options);
    return {
      ...session,
      release: () => session.release(),
      async run(feeds, runOptions) {
        const results = await session.run(feeds, runOptions);
        const numbersOf = (name: string) => [...(feeds[name]?.data ?? [])].map(Number);
        const ranges = Object.entries(results).map(([name, { data }]) => [
          name,
          [...data].map(Number),
        ]);
        runs.push({
          ids: numbersOf("input_ids"),
          mask: numbersOf("attention_mask"),
          ranges: Object.fromEntries(ranges),
        });
        return results;
      },
    };
  };
  return { runtime: { ...runtime, load }, runs };
}

/** The texts as the model reads them, by the tokenizer alone: the encoder's 32 positions cut them. */
async function expectedIds(head: TinyHead, maxTokens: number): Promise<number[][]> {
  const tokenizer = await loadTokenizer(folder);
  const [question, ...texts] = await tokenizer.encode([accuracyQuestion, ...accuracyTexts]);
  return texts.map(({ ids }) => {
    if (head !== "question-answering") return tokenizer.wrap(ids.slice(0, maxTokens - 2)).ids;
    const asked = question?.ids ?? [];
    const room = maxTokens - asked.length - tokenizer.specialTokens.pair;
    return tokenizer.wrap(asked, ids.slice(0, room)).ids;
  });
}

/** Runs side by side end in any order. */
const texts = (lists: number[][]) => lists.map(String).toSorted();

it.each<TinyHead>(["none", "sequence-classification", "question-answering"])(
  "of a checkpoint with the head %s, [CLS] and [SEP] included, none padded",
  async (head) => {
    await writeTinyCheckpoint(folder, head);
    const checkpoint = await readCheckpoint(folder);
    const { runtime, runs } = await recording();
    const scratch = path.join(folder, "ranges");
    const ranges = await measureRanges(checkpoint, { runtime, signal, folder: scratch });
    expect(texts(runs.map(({ ids }) => ids))).toEqual(
      texts(await expectedIds(head, checkpoint.limits.maxTokens)),
    );
    expect(
      runs.every(({ ids, mask }) => ids[0] === 2 && ids.at(-1) === 3 && !mask.includes(0)),
    ).toBe(true);
    expect([...ranges.keys()].toSorted()).toEqual(Object.keys(runs[0]?.ranges ?? {}).toSorted());
    for (const [reader, range] of ranges) {
      const farthest = [...range].map((_, at) =>
        Math.max(...runs.map((run) => run.ranges[reader]?.[at] ?? NaN)),
      );
      expect([...range]).toEqual(farthest);
    }
  },
);
