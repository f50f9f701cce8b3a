/**
 * Steps that a GPU repeats, on the CPU: nothing is captured there, but a step is fed by values that stay, on a session
 * of its own, and is compared with a plain one. Texts are what they are without.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { Engine } from "../../gpu-worker/llm/engine.ts";
import type { CapturingSession } from "../../gpu-worker/model/decoder-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import { tinyDecoder } from "../runtime/tiny-decoder.ts";
import { writeText } from "./write-text.ts";

const positions = 64;
const names = ["llama-yarn", "gemma3-old-form", "qwen3-yarn-tied-bf16"] as const;

let runtime: Runtime;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
});

async function open(name: string, captures = false): Promise<LoadedSession> {
  const bytes = await tinyDecoder(name, positions, "f32", { mixed: !captures });
  return runtime.load({ bytes }, { threads: 1, provider: "cpu", captures });
}

/** Counts the runs that are bound. @param run instead of theirs */
function watched(session: LoadedSession, run?: () => Promise<never>) {
  const seen = { runs: 0, lost: [] as string[] };
  const bind: LoadedSession["bind"] = (binding) => {
    const bound = session.bind(binding);
    const counted: typeof bound.run = (feeds, options) => {
      seen.runs += 1;
      return run === undefined ? bound.run(feeds, options) : run();
    };
    return { ...bound, run: counted };
  };
  const onLost = (reason: string) => void seen.lost.push(reason);
  return { seen, steps: { session: { ...session, bind }, onLost } };
}

/** Texts side by side, some of which end before others, then others in the places of the first. */
async function texts(session: LoadedSession, steps?: CapturingSession): Promise<number[][][]> {
  const limits = { maxTokens: positions, dimensions: null, vocabularySize: 41 };
  const model = { id: "tiny", session, rowsMin: 1, limits, ...(steps && { steps }) };
  const scheduler = new SlotScheduler();
  // Guesses depend on what steps take, and those with several tokens of a text are not repeated.
  const guessing = { draftTokensMax: 0 };
  const engine = new Engine(model, { scheduler, now: () => performance.now(), limits: guessing });
  const write = (count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, at) =>
        writeText(engine, [3 + at, 7, 9 + count], { maxTokens: 24 + 8 * at }),
      ),
    );
  const written = [...(await write(4)), ...(await write(3))];
  await engine.release(new Error("over"));
  return written.map(({ tokens }) => tokens);
}

describe("steps that are repeated", () => {
  it.each(names)("of %s write what plain ones write", async (name) => {
    const [session, capturing] = [await open(name), await open(name, true)];
    const { seen, steps } = watched(capturing);
    expect(await texts(session, steps)).toEqual(await texts(session));
    expect(seen.lost).toEqual([]);
    expect(seen.runs).toBeGreaterThan(20);
    await Promise.all([session.release(), capturing.release()]);
  });

  it("are not, once one computed something else", async () => {
    const [session, other] = [
      await open("llama-all-biases"),
      await open("gemma3-untied-biases", true),
    ];
    const { seen, steps } = watched(other);
    expect(await texts(session, steps)).toEqual(await texts(session));
    expect(seen).toEqual({ runs: 1, lost: [expect.stringMatching(/logits are off by \d/)] });
    await Promise.all([session.release(), other.release()]);
  });

  it("are not, where there is no memory for what they are fed", async () => {
    const [session, capturing] = [await open("llama-yarn"), await open("llama-yarn", true)];
    const full = { ...capturing, allocate: () => Promise.reject(new Error("no memory")) };
    const { seen, steps } = watched(full);
    expect(await texts(session, steps)).toEqual(await texts(session));
    expect(seen).toEqual({ runs: 0, lost: ["no memory"] });
    await Promise.all([session.release(), capturing.release()]);
  });

  it("are not, once one wrote nothing or failed", async () => {
    const [session, capturing] = [await open("llama-yarn"), await open("llama-yarn", true)];
    const idle = watched({
      ...capturing,
      bind: () => ({ run: async () => ({}), release: async () => undefined }),
    });
    const failing = watched(capturing, () => Promise.reject(new Error("no graph")));
    const plain = await texts(session);
    expect(await texts(session, idle.steps)).toEqual(plain);
    expect(idle.seen.lost).toHaveLength(1);
    expect(await texts(session, failing.steps)).toEqual(plain);
    expect(failing.seen).toEqual({ runs: 1, lost: ["no graph"] });
    await Promise.all([session.release(), capturing.release()]);
  });
});
