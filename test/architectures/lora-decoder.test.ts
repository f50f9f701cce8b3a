/**
 * A decoder's graph with stacks of adapters, in each form: without adapters it gives to the bit what the plain graph
 * gives; with them, each text what it gets alone. PEFT is the oracle of test/checkpoints/peft-decoders.test.ts.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { DecoderLoraSession } from "../../gpu-worker/graphs/decoder-lora-session.ts";
import { emptyCache, wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { int64, type Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { nextTokens, tinyDecoder } from "../runtime/tiny-decoder.ts";

const name = "llama-llama3-bf16";
const room = 32;
const ids = [5, 9, 14, 3, 22, 8, 17];

let runtime: Runtime;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
});

async function logitsOf(session: Session, feeds: Record<string, Tensor>): Promise<number[]> {
  const { logits } = await session.run(feeds, { outputs: ["logits"] });
  return Array.from(logits?.data ?? [], Number);
}

function filled(count: number, from: number): Float32Array {
  return Float32Array.from({ length: count }, (_, at) => Math.sin(1 + at * 1.7 + from) / 4);
}

/** The same token of so many texts, each the fifth of its text. */
function step(session: Session, texts: number): Record<string, Tensor> {
  const tokens = Array.from({ length: texts }, () => 7);
  return { ...nextTokens(tokens, 5), ...emptyCache(session, texts, 5) };
}

/** In every layer. */
function addAdapter({ stacks }: DecoderLoraSession, rank: number, seed: number): number {
  const matrices = [...stacks.layers].map(([layer, { inputs, outputs }], at) => {
    const own = {
      rank,
      down: filled(inputs * rank, seed + at),
      up: filled(rank * outputs, seed - at),
    };
    return [layer, own] as const;
  });
  return stacks.add(new Map(matrices));
}

describe.each(["f32", "f16", "int8", "int4"] as const)(
  "a decoder that takes adapters, in %s",
  (form) => {
    it("gives without any what it gives by itself, and with some each text what it gets alone", async () => {
      const load = async (lora: boolean) => {
        const bytes = await tinyDecoder(name, room, form, { lora });
        return runtime.load({ bytes }, { threads: 1, provider: "cpu" });
      };
      const file = path.join(import.meta.dirname, "decoders", name, "config.json");
      const plain = await load(false);
      const session = new DecoderLoraSession(
        await load(true),
        JSON.parse(readFileSync(file, "utf8")),
      );
      const whole = await logitsOf(plain, wholeText(plain, ids));
      expect(await logitsOf(session, wholeText(session, ids))).toEqual(whole);
      const three = await logitsOf(plain, step(plain, 3));
      const [one, two] = [addAdapter(session, 2, 3), addAdapter(session, 11, 5)];
      expect(await logitsOf(session, step(session, 3))).toEqual(three);
      const by = (own: readonly number[]) =>
        logitsOf(session, {
          ...step(session, own.length),
          lora_slots: int64([own.length], own),
        });
      const mixed = await by([two, 0, one, two]);
      const alone = [await by([two]), await by([0]), await by([one])];
      expect(mixed).toEqual([...alone, alone[0]].flat());
      expect(mixed.every(Number.isFinite)).toBe(true);
      expect(alone[2]).not.toEqual(alone[1]);
      await Promise.all([plain, session].map((each) => each.release()));
    });
  },
);
