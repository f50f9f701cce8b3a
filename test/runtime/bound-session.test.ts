/**
 * Values that stay with ONNX Runtime between runs, and sessions bound to them. Oracles: arithmetic, and the same steps
 * with values that are copied in and out.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { emptyCache } from "../../gpu-worker/model/decoder-feeds.ts";
import type { AllocatedValue, Binding } from "../../gpu-worker/runtime/bound-session.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { accumulator, arithmetic, identity, slowAccumulator } from "./models.ts";
import { nextTokens, tinyDecoder } from "./tiny-decoder.ts";

const log = { info: () => undefined, warn: () => undefined };
const shared = { threads: "shared", provider: "cpu" } as const;

let runtime: Runtime;
const open: LoadedSession[] = [];

async function load(bytes: Uint8Array, concurrency = 1): Promise<LoadedSession> {
  const session = await runtime.load({ bytes }, { ...shared, concurrency });
  open.push(session);
  return session;
}

beforeAll(async () => {
  runtime = await openRuntime({ log, only: "c-api", threads: 2 });
});

afterAll(() => Promise.all(open.map((session) => session.release())));

/** `total` = x + state, put over the state. */
async function accumulating(session: LoadedSession, width: number) {
  const state = await session.allocate("float32", [width]);
  const bound = session.bind({ inputs: { state }, outputs: { total: state } });
  return { state, bound };
}

const full = (width: number, value: number) =>
  float32([width], new Float32Array(width).fill(value));

describe("a resident value", () => {
  it("begins as zeros, and is written and read whole or in part", async () => {
    const session = await load(accumulator());
    const value = await session.allocate("int64", [2, 3]);
    expect(await value.read()).toEqual(int64([2, 3], [0, 0, 0, 0, 0, 0]));
    await value.write(int64([2, 3], [1, 2, 3, 4, 5, 6]));
    await value.view(3, [3]).write(int64([3], [7, 8, 9]));
    expect(await value.read()).toEqual(int64([2, 3], [1, 2, 3, 7, 8, 9]));
    expect(await value.view(1, [2, 2]).view(1, [1]).read()).toEqual(int64([1], [3]));
    const two = new BigInt64Array(2);
    await value.view(2, [2]).readInto(two);
    expect(two).toEqual(BigInt64Array.of(3n, 7n));
    await expect(value.readInto(two)).rejects.toThrow("the value has 48 bytes, not 16");
    const large = { dtype: "int64", shape: [4], data: BigInt64Array.of(0n, 5n, 6n, 0n) } as const;
    const inside = { ...large, shape: [2], data: large.data.subarray(1, 3) };
    await value.view(0, [2]).write(inside);
    expect(await value.view(0, [2]).read()).toEqual(int64([2], [5, 6]));
    await value.release();
  });

  it("may be a single number, or none", async () => {
    const session = await load(accumulator());
    const one = await session.allocate("float32", []);
    await one.write(float32([], [2.5]));
    expect(await one.read()).toEqual(float32([], [2.5]));
    const none = await session.allocate("float32", [0, 4]);
    await none.write(float32([0, 4], []));
    expect(await none.read()).toEqual(float32([0, 4], []));
  });

  it("is copied to another, whole or in part", async () => {
    const session = await load(accumulator());
    const [from, to] = [
      await session.allocate("float32", [2, 3]),
      await session.allocate("float32", [3, 2]),
    ];
    await from.write(float32([2, 3], [1, 2, 3, 4, 5, 6]));
    await to.view(1, [4]).copyFrom(from.view(2, [4]));
    expect(await to.read()).toEqual(float32([3, 2], [0, 3, 4, 5, 6, 0]));
    await to.view(0, [2]).copyFrom(to.view(3, [2]));
    expect(await to.read()).toEqual(float32([3, 2], [5, 6, 4, 5, 6, 0]));
    await expect(to.copyFrom(from)).rejects.toThrow("is float32 [3,2], not float32 [2,3]");
    const integers = await session.allocate("int64", [2]);
    await expect(integers.copyFrom(from.view(0, [2]))).rejects.toThrow("not float32 [2]");
    const foreign = { ...from, dtype: "float32", shape: [3, 2] } as const;
    await expect(to.copyFrom(foreign)).rejects.toThrow("of its own provider alone");
    await from.release();
    await expect(to.view(0, [2]).copyFrom(from.view(0, [2]))).rejects.toThrow("is released");
  });

  it("is written again after it was discarded", async () => {
    const session = await load(accumulator());
    const value = await session.allocate("float32", [2 ** 20]);
    await value.write(full(2 ** 20, 1));
    const part = value.view(2 ** 18 + 5, [2 ** 18]);
    await part.discard();
    await part.write(full(2 ** 18, 2));
    const { data } = await value.read();
    const expected = new Float32Array(2 ** 20).fill(1);
    expect(data).toEqual(expected.fill(2, 2 ** 18 + 5, 2 ** 19 + 5));
    await value.release();
  });

  it("refuses what does not fit", async () => {
    const session = await load(accumulator());
    const value = await session.allocate("float32", [4]);
    await expect(value.write(float32([3], [1, 2, 3]))).rejects.toThrow(
      "the value is float32 [4], not float32 [3] of 3 elements",
    );
    await expect(value.write(int64([4], [1, 2, 3, 4]))).rejects.toThrow("not int64 [4]");
    await expect(value.write({ ...full(3, 1), shape: [4] })).rejects.toThrow("of 3 elements");
    for (const [offset, shape] of [
      [2, [3]],
      [-1, [1]],
      [0.5, [1]],
      [5, [0]],
    ] as const) {
      expect(() => value.view(offset, shape)).toThrow("is not inside a value of 4 elements");
    }
    expect(() => value.view(0, [-1])).toThrow("[-1] is no shape");
    await expect(session.allocate("float32", [1.5])).rejects.toThrow("[1.5] is no shape");
    await expect(session.allocate("float32", [2 ** 30, 2 ** 22])).rejects.toMatchObject({
      name: "RuntimeError",
    });
  });

  it("is released once, its views with it", async () => {
    const session = await load(accumulator());
    const value = await session.allocate("float32", [4]);
    const view = value.view(0, [2]);
    await Promise.all([value.release(), value.release()]);
    await expect(value.read()).rejects.toThrow("the value is released");
    await expect(view.write(full(2, 1))).rejects.toThrow("the value is released");
  });

  it("is one of hundreds that are written and freed at once", async () => {
    const session = await runtime.load({ bytes: accumulator() }, shared);
    const all = Array.from({ length: 600 }, (_, at) => at);
    const values = await Promise.all(all.map(() => session.allocate("float32", [1])));
    await Promise.all(values.map((value, at) => value.write(float32([1], [at]))));
    const read = await Promise.all(values.map((value) => value.read()));
    expect(read.map(({ data }) => Number(data[0]))).toEqual(all);
    await session.release();
  });
});

describe("a bound session", () => {
  it("updates a state in place, a thousand times", async () => {
    const { state, bound } = await accumulating(await load(accumulator()), 100);
    for (let run = 0; run < 1_000; run++) expect(await bound.run({ x: full(100, 3) })).toEqual({});
    expect(await state.read()).toEqual(full(100, 3_000));
  });

  it("runs in the order asked for, one at a time, also where its session runs several", async () => {
    const session = await load(accumulator(), 2);
    const state = await session.allocate("float32", [1]);
    const outputs = { total: state, doubled: "host" } as const;
    const bound = session.bind({ inputs: { state }, outputs });
    const runs = Array.from({ length: 200 }, () => bound.run({ x: full(1, 1) }));
    const doubled = (await Promise.all(runs)).map((given) => given["doubled"]?.data[0]);
    expect(doubled).toEqual(Array.from({ length: 200 }, (_, at) => 2 * (at + 1)));
  });

  it("gives outputs of the host whose shape changes from run to run, in memory of their own", async () => {
    const bound = (await load(arithmetic())).bind({ outputs: { double: "host" } });
    const first = await bound.run({ x: float32([1, 3], [1, 2, 3]) });
    expect(await bound.run({ x: float32([2, 3], [1, 2, 3, 4, 5, 6]) })).toEqual({
      double: float32([2, 3], [2, 4, 6, 8, 10, 12]),
    });
    expect(first).toEqual({ double: float32([1, 3], [2, 4, 6]) });
  });

  it("computes on parts of values", async () => {
    const session = await load(accumulator());
    const rows = await session.allocate("float32", [3, 2]);
    const row = rows.view(2, [2]);
    const bound = session.bind({ inputs: { state: row, x: row }, outputs: { total: row } });
    await rows.write(float32([3, 2], [1, 2, 3, 4, 5, 6]));
    await bound.run({});
    expect(await rows.read()).toEqual(float32([3, 2], [1, 2, 6, 8, 5, 6]));
  });

  it("shares values with others, of its session and of another", async () => {
    const { state, bound } = await accumulating(await load(accumulator()), 2);
    const reader = (await load(identity("float32"))).bind({
      inputs: { x: state },
      outputs: { y: "host" },
    });
    await bound.run({ x: full(2, 4) });
    expect(await reader.run({})).toEqual({ y: full(2, 4) });
  });

  it("runs beside others", async () => {
    const session = await load(accumulator(), 2);
    const totals = await Promise.all(
      [1, 2, 3, 4].map(async (step) => {
        const { state, bound } = await accumulating(session, 1_000);
        for (let run = 0; run < 100; run++) await bound.run({ x: full(1_000, step) });
        await bound.release();
        return state.read();
      }),
    );
    expect(totals).toEqual([1, 2, 3, 4].map((step) => full(1_000, 100 * step)));
  });

  it("rejects an aborted run, waiting or under way, and stays usable", async () => {
    const session = await load(slowAccumulator(256, 1_000));
    const state = await session.allocate("float32", [256, 256]);
    const bound = session.bind({ inputs: { state }, outputs: { total: state } });
    const x = float32([256, 256], new Float32Array(256 * 256).fill(1));
    const [underWay, waiting] = [new AbortController(), new AbortController()];
    const reason = new Error("the caller left");
    const first = bound.run({ x }, { signal: underWay.signal });
    const second = bound.run({ x }, { signal: waiting.signal });
    const third = bound.run({ x });
    await new Promise(setImmediate);
    waiting.abort(reason);
    await expect(second).rejects.toBe(reason);
    underWay.abort(reason);
    await expect(first).rejects.toBe(reason);
    // The aborted run had not come to the end, where the state is written.
    await third;
    expect(await state.read()).toEqual(x);
    await expect(bound.run({ x }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("keeps the memory of a value released meanwhile until its run has ended", async () => {
    const session = await load(slowAccumulator(256, 100));
    const state = await session.allocate("float32", [256, 256]);
    const bound = session.bind({ inputs: { state }, outputs: { total: state } });
    const events: string[] = [];
    const run = bound.run({ x: float32([256, 256], new Float32Array(256 * 256)) });
    await new Promise(setImmediate);
    const freed = state.release().then(() => events.push("freed"));
    await run.then(() => events.push("ran"));
    await freed;
    expect(events).toEqual(["ran", "freed"]);
  });

  it("leaves the event loop free", async () => {
    const session = await load(slowAccumulator(256, 100));
    const state = await session.allocate("float32", [256, 256]);
    const bound = session.bind({ inputs: { state }, outputs: { total: state } });
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 0);
    await bound.run({ x: float32([256, 256], new Float32Array(256 * 256)) });
    clearInterval(counting);
    // A run on this thread would leave none.
    expect(turns).toBeGreaterThan(0);
  });
});

describe("a bound session refuses by name", () => {
  it("what does not fit, before anything runs", async () => {
    const session = await load(accumulator());
    const state = await session.allocate("float32", [2]);
    const wide = await session.allocate("float32", [2, 2]);
    const integers = await session.allocate("int64", [2]);
    const foreign = { ...state, dtype: "float32", shape: [2] } as const;
    const refused: [Binding, string][] = [
      [{ inputs: { states: state }, outputs: { total: "host" } }, "the model has no input states"],
      [{ outputs: { sum: "host" } }, "the model has no output sum, only total, doubled"],
      [{ inputs: { state: integers }, outputs: {} }, "input state is float32, not int64"],
      [{ inputs: { state: wide }, outputs: {} }, "input state has shape [n], not [2,2]"],
      [{ outputs: { total: integers } }, "output total is float32, not int64"],
      [{ outputs: { total: wide } }, "output total has shape [n], not [2,2]"],
      [{ inputs: { state }, outputs: {} }, "no output is bound"],
      [{ outputs: { total: foreign } }, "output total is bound to a value that no session"],
      [
        { outputs: { total: state, doubled: state.view(1, [1]) } },
        "outputs total and doubled are bound to the same memory",
      ],
    ];
    for (const [binding, message] of refused) expect(() => session.bind(binding)).toThrow(message);
    const outputs = { total: state, doubled: state.view(1, [1]) };
    await session.bind({ outputs, sharing: true }).release();
    const bound = session.bind({ inputs: { state }, outputs: { total: state } });
    await expect(bound.run({})).rejects.toThrow("input x is missing");
    await expect(bound.run({ x: int64([2], [1, 2]) })).rejects.toThrow("x is float32, not int64");
    await expect(bound.run({ x: full(2, 1), state: full(2, 1) })).rejects.toThrow(
      "input state is bound to a value",
    );
    await expect(bound.run({ x: full(2, 1), z: full(2, 1) })).rejects.toThrow("no input z");
    // What only ONNX Runtime can compare.
    await expect(bound.run({ x: full(3, 1) })).rejects.toMatchObject({ name: "RuntimeError" });
    const onlyOutput = session.bind({ outputs: { total: state } });
    const three = { x: full(3, 1), state: full(3, 1) };
    await expect(onlyOutput.run(three)).rejects.toMatchObject({ name: "RuntimeError" });
    expect(await state.read()).toEqual(full(2, 0));
  });

  it("what is released", async () => {
    const session = await load(accumulator());
    const { state, bound } = await accumulating(session, 2);
    const last = bound.run({ x: full(2, 1) });
    const freed = state.release();
    await Promise.all([bound.release(), bound.release()]);
    await Promise.allSettled([last, freed]);
    await expect(bound.run({ x: full(2, 1) })).rejects.toThrow("the bound session is released");
    expect(() => session.bind({ outputs: { total: state } })).toThrow(
      "output total is bound to a value that is released",
    );
    const other = await accumulating(session, 2);
    await other.state.release();
    await expect(other.bound.run({ x: full(2, 1) })).rejects.toThrow(
      "input state is bound to a value that is released",
    );
  });

  it("all after its session is released, which waits for its runs", async () => {
    const session = await runtime.load({ bytes: accumulator() }, shared);
    const { state, bound } = await accumulating(session, 1);
    const outputs = { doubled: "host" } as const;
    const beside = session.bind({ inputs: { state }, outputs });
    const runs = [bound.run({ x: full(1, 1) }), beside.run({ x: full(1, 1) })];
    const released = session.release();
    expect((await Promise.all(runs))[1]).toHaveProperty("doubled");
    await released;
    await expect(bound.run({ x: full(1, 1) })).rejects.toThrow("is released");
    await expect(state.read()).rejects.toThrow("the value is released");
    await expect(session.allocate("float32", [1])).rejects.toThrow("the session is released");
    expect(() => session.bind({ outputs })).toThrow("the session is released");
    await Promise.all([state.release(), bound.release(), session.release()]);
  });

  it("in the Node binding, all", async () => {
    const binding = await openRuntime({ log, only: "node-binding" });
    const session = await binding.load({ bytes: accumulator() }, { ...shared });
    const words = "the Node binding cannot";
    await expect(session.allocate("float32", [1])).rejects.toThrow(`${words} keep values`);
    expect(() => session.bind({ outputs: { total: "host" } })).toThrow(`${words} bind values`);
    await session.release();
  });
});

const present = (past: string) => past.replace("past_key_values", "present");

describe("a decoder's keys and values, updated in place", () => {
  const [room, texts] = [32, 2];

  async function residentCache(session: LoadedSession) {
    const cache = Object.entries(emptyCache(session, texts, room));
    const values: [string, AllocatedValue][] = [];
    for (const [name, { dtype, shape }] of cache) {
      values.push([name, await session.allocate(dtype, shape)]);
    }
    return values;
  }

  it.each(["llama-yarn", "gemma3-old-form", "mistral-window-old-form", "qwen3-yarn-tied-bf16"])(
    "%s gives what it gives with copies, token by token",
    async (name) => {
      const session = await load(await tinyDecoder(name, room));
      const values = await residentCache(session);
      const bound = session.bind({
        inputs: Object.fromEntries(values),
        outputs: {
          ...Object.fromEntries(values.map(([past, value]) => [present(past), value])),
          logits: "host",
        },
      });
      let kept: Record<string, Tensor> = emptyCache(session, texts, room);
      for (let length = 1; length <= room; length++) {
        const feeds = nextTokens([length % 7, (3 * length) % 11], length);
        const copied = await session.run({ ...feeds, ...kept });
        const past = Object.keys(kept).map((each) => [each, copied[present(each)]] as const);
        kept = Object.fromEntries(past.flatMap(([each, value]) => (value ? [[each, value]] : [])));
        expect(await bound.run(feeds)).toEqual({ logits: copied["logits"] });
      }
      for (const [past, value] of values) expect(await value.read()).toEqual(kept[past]);
      await bound.release();
    },
  );
});
