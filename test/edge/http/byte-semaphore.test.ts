/** Who is granted a permit beside whom, in what order, and how it is released. */
import { expect, it } from "vitest";
import { ByteSemaphore } from "../../../edge/http/byte-semaphore.ts";

function setUp(bytesMax: number) {
  const clock = { now: 0 };
  const semaphore = new ByteSemaphore({ bytesMax, holdMsMax: 1_000, now: () => clock.now });
  const inside: string[] = [];
  const leave = new Map<string, () => void>();
  const enter = async (name: string, bytes: number, signal = new AbortController().signal) => {
    const left = await semaphore.acquire(bytes, signal);
    inside.push(name);
    leave.set(name, () => {
      if (inside.includes(name)) inside.splice(inside.indexOf(name), 1);
      left();
    });
  };
  return { clock, inside, leave, enter };
}

/** Lets everything that is decided happen. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

it("lets in what fits, in the order of arrival, and a small one past nobody", async () => {
  const { inside, leave, enter } = setUp(10);
  for (const [name, bytes] of Object.entries({ a: 6, b: 6, c: 1, d: 3 })) void enter(name, bytes);
  await settled();
  expect(inside).toEqual(["a"]);
  leave.get("a")?.();
  leave.get("a")?.();
  await settled();
  expect(inside).toEqual(["b", "c", "d"]);
});

it("lets in alone what weighs more than the bound", async () => {
  const { inside, leave, enter } = setUp(10);
  void enter("a", 1);
  void enter("huge", 1_000);
  void enter("b", 1);
  await settled();
  expect(inside).toEqual(["a"]);
  leave.get("a")?.();
  await settled();
  expect(inside).toEqual(["huge"]);
  leave.get("huge")?.();
  await settled();
  expect(inside).toEqual(["b"]);
});

it("lets go who hangs up, waiting or inside", async () => {
  const { inside, enter } = setUp(10);
  const [first, second] = [new AbortController(), new AbortController()];
  void enter("inside", 10, first.signal);
  const waiting = enter("waiting", 10, second.signal);
  void enter("next", 10);
  await settled();
  second.abort();
  await expect(waiting).rejects.toThrow();
  expect(inside).toEqual(["inside"]);
  first.abort();
  await settled();
  expect(inside).toEqual(["inside", "next"]);
  await expect(enter("late", 1, first.signal)).rejects.toThrow();
});

it("takes back a permit that was never released", async () => {
  const { clock, inside, enter } = setUp(10);
  void enter("forgotten", 10);
  await settled();
  clock.now = 1_001;
  void enter("next", 10);
  await settled();
  expect(inside).toEqual(["forgotten", "next"]);
});
