import { expect, it } from "vitest";
import { FairTurns } from "../../gpu-worker/event-loop/fair-turns.ts";

it("does one piece at a time, those who ask in turn, each one's in order", async () => {
  const turns = new FairTurns<string>();
  const order: string[] = [];
  let running = 0;
  const ask = (asker: string, piece: number) =>
    turns.run(asker, async () => {
      running += 1;
      expect(running).toBe(1);
      await Promise.resolve();
      order.push(`${asker}${piece}`);
      running -= 1;
    });
  const many = Array.from({ length: 5 }, (_, piece) => ask("many", piece));
  await Promise.all([...many, ask("few", 0), ask("other", 0), ask("few", 1)]);
  expect(order).toEqual(["many0", "many1", "few0", "other0", "many2", "few1", "many3", "many4"]);
});

it("goes on behind a piece that fails", async () => {
  const turns = new FairTurns<string>();
  const failing = turns.run("a", () => Promise.reject(new Error("no")));
  const next = turns.run("a", () => Promise.resolve("done"));
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("done");
  expect(await turns.run("b", () => Promise.resolve("again"))).toBe("again");
});
