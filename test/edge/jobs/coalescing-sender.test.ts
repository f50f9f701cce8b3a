/** When messages are sent, together with which others, and again. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  CoalescingSender,
  type Outgoing,
  type SendOutcome,
} from "../../../edge/jobs/coalescing-sender.ts";

type Batch = {
  ids: string[];
  end: (outcomes?: SendOutcome[] | "refused") => void;
  fail: () => void;
};

function setUp(rules: { inFlightMax?: number } = {}) {
  const batches: Batch[] = [];
  const unwanted = new Set<string>();
  const sent: string[] = [];
  const refused: string[] = [];
  const failures: unknown[] = [];
  const sender = new CoalescingSender(
    { entriesMax: 10, bytesMax: 1_000, inFlightMax: 2, pauseMsMin: 1, pauseMsMax: 4, ...rules },
    {
      sendBatch: (batch) =>
        new Promise((resolve, reject) => {
          const ids = batch.map(({ id }) => id);
          const end: Batch["end"] = (outcomes = ids.map(() => "sent")) => resolve(outcomes);
          batches.push({ ids, end, fail: () => reject(new Error("no queue")) });
        }),
      isWanted: (id) => !unwanted.has(id),
      onSent: (id) => void sent.push(id),
      onRefused: (id) => void refused.push(id),
      onFailure: (error) => void failures.push(error),
      random: () => 0,
    },
  );
  const send = (...ids: string[]) => ids.forEach((id) => sender.send(message(id)));
  const batch = (index: number): Batch => {
    const found = batches[index];
    if (found === undefined) throw new Error(`no batch ${index} of ${batches.length}`);
    return found;
  };
  return { sender, send, batch, batches, unwanted, sent, refused, failures };
}

function message(id: string, bytes = 10): Outgoing {
  return { id, body: `body of ${id}`, bytes, group: "tenant" };
}

function named(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

describe("the coalescing sender", () => {
  it("sends the first message at once and the others together when that is done", async () => {
    const { send, batch, batches, sent } = setUp();
    send("a");
    expect(batches.map(({ ids }) => ids)).toEqual([["a"]]);
    send("b", "c");
    expect(batches).toHaveLength(1);
    batch(0).end();
    await vi.waitFor(() => expect(batches).toHaveLength(2));
    expect(batch(1).ids).toEqual(["b", "c"]);
    batch(1).end();
    await vi.waitFor(() => expect(sent).toEqual(["a", "b", "c"]));
  });

  it("does not let a full batch wait, within the batches allowed on their way", () => {
    const { send, batches } = setUp({ inFlightMax: 2 });
    send("first", ...named("m", 25));
    expect(batches.map(({ ids }) => ids.length)).toEqual([1, 10]);
  });

  it("cuts a batch at its bytes, and sends alone what is larger than that", async () => {
    const { sender, batch, batches } = setUp();
    sender.send(message("first"));
    sender.send(message("large", 600));
    sender.send(message("larger", 5_000));
    sender.send(message("small", 400));
    for (let i = 0; i < 4; i += 1) {
      await vi.waitFor(() => expect(batches).toHaveLength(i + 1));
      batch(i).end();
    }
    expect(batches.map(({ ids }) => ids)).toEqual([["first"], ["large"], ["larger"], ["small"]]);
  });

  it("leaves out what nobody wants any more", async () => {
    const { send, batch, batches, unwanted } = setUp();
    send("first", "gone", "wanted");
    unwanted.add("gone");
    batch(0).end();
    await vi.waitFor(() => expect(batches).toHaveLength(2));
    expect(batch(1).ids).toEqual(["wanted"]);
  });

  it("tries a failed batch again, with whatever came in between, until it is sent", async () => {
    const { send, batch, batches, sent, failures } = setUp();
    send("a");
    batch(0).fail();
    await vi.waitFor(() => expect(batches).toHaveLength(2));
    send("b");
    batch(1).fail();
    await vi.waitFor(() => expect(batches).toHaveLength(3));
    // What was not tried goes before what failed, and what failed alone is tried alone.
    expect(batch(2).ids).toEqual(["b"]);
    batch(2).end();
    await vi.waitFor(() => expect(batches).toHaveLength(4));
    expect(batch(3).ids).toEqual(["a"]);
    batch(3).end();
    await vi.waitFor(() => expect(sent).toEqual(["b", "a"]));
    expect(failures).toHaveLength(2);
  });

  it("gives up a failed message once nobody wants it", async () => {
    const { send, batch, batches, unwanted, sent } = setUp();
    send("a");
    unwanted.add("a");
    batch(0).fail();
    send("b");
    await vi.waitFor(() => expect(batches).toHaveLength(2));
    expect(batch(1).ids).toEqual(["b"]);
    batch(1).end();
    await vi.waitFor(() => expect(sent).toEqual(["b"]));
  });

  it("tells entries apart: sent, refused for good, to be sent again", async () => {
    const { send, batch, batches, sent, refused } = setUp();
    send("first", "x", "y", "z");
    batch(0).end();
    await vi.waitFor(() => expect(batches).toHaveLength(2));
    batch(1).end(["sent", "refused", "retry"]);
    await vi.waitFor(() => expect(batches).toHaveLength(3));
    expect(batch(2).ids).toEqual(["z"]);
    expect(sent).toEqual(["first", "x"]);
    expect(refused).toEqual(["y"]);
  });

  it("halves a batch that is refused as a whole until the one at fault is alone, and sends the others", async () => {
    const { batches, sent, refused, failures } = answering((ids) =>
      ids.includes("m6") ? "refused" : "sent",
    );
    await vi.waitFor(() => expect(sent).toHaveLength(12));
    expect(refused).toEqual(["m6"]);
    expect(failures).toEqual([]);
    expect(batches.filter(({ ids }) => ids.includes("m6")).map(({ ids }) => ids.length)).toEqual([
      10, 5, 3, 2, 1,
    ]);
  });

  it("sends the others though one message fails any batch it is in, again and again", async () => {
    const { send, batches, sent, refused } = answering((ids) =>
      ids.includes("m6") ? "fails" : "sent",
    );
    await vi.waitFor(() => expect(sent).toHaveLength(12));
    send("later");
    await vi.waitFor(() => expect(sent).toContain("later"));
    const alone = () => batches.filter(({ ids }) => ids.join() === "m6").length;
    const before = alone();
    await vi.waitFor(() => expect(alone()).toBeGreaterThan(before));
    expect(refused).toEqual([]);
  });
});

/** A sender of 13 messages, "first" alone and the others together, whose batches are answered by `answer`. */
function answering(answer: (ids: readonly string[]) => "sent" | "refused" | "fails") {
  const rig = setUp();
  const { batches, send } = rig;
  let answered = 0;
  const timer = setInterval(() => {
    for (; answered < batches.length; answered += 1) {
      const batch = batches[answered];
      const made = answer(batch?.ids ?? []);
      if (made === "fails") batch?.fail();
      else if (made === "refused") batch?.end("refused");
      else batch?.end();
    }
  }, 1);
  onTestFinished(() => clearInterval(timer));
  send("first", ...named("m", 12));
  return rig;
}
