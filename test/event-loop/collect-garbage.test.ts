import { expect, it } from "vitest";
import { collectGarbage } from "../../gpu-worker/event-loop/collect-garbage.ts";

it("collects what is no longer referenced, and nothing else", async () => {
  const held = { name: "held" };
  const references = [new WeakRef(held), ...lost()];
  // What a WeakRef was made of is kept until the turn of the event loop ends.
  await new Promise((resolve) => setImmediate(resolve));
  await collectGarbage();
  expect(references.map((reference) => reference.deref()?.name)).toEqual(["held", undefined]);
  expect(held.name).toBe("held");
});

function lost(): WeakRef<{ name: string }>[] {
  return [new WeakRef({ name: "lost" })];
}
