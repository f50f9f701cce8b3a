/** The log of one computation, and what of it is told once. */
import { describe, expect, it } from "vitest";
import type { Piece } from "../../../contract/events.ts";
import { Transcript } from "../../../edge/answers/transcript.ts";
import { EventLog } from "../../../edge/jobs/event-log.ts";
import { piece } from "./streams-in-tests.ts";

const made = { model: "writer", modelDigest: "digest" };

function told(log: EventLog): string[] {
  const texts: string[] = [];
  for (let id = log.firstId; id <= log.lastId; id += 1) {
    const entry = log.at(id);
    if (entry?.kind === "piece") texts.push(entry.piece.text);
  }
  return texts;
}

const logprob = (text: string) => ({ id: 1, text, logprob: -1, top: [] });

/** A text in pieces of random lengths, as one worker tells it. */
function pieces(text: string, random: () => number): Piece[] {
  const cut: Piece[] = [];
  for (let at = 0, from = 0; at < text.length || from === 0;) {
    const length = Math.floor(random() * 4);
    const tokens = 1 + Math.floor(random() * 3);
    const said = text.slice(at, at + length);
    const last = at + length >= text.length ? { finishReason: "length" as const } : {};
    cut.push({ input: 0, choice: 0, from, tokens, textFrom: at, text: said, ...last });
    at += length;
    from += tokens;
  }
  return cut;
}

/** Calls in pieces of random lengths, each of its own tokens. */
function callPieces(
  calls: readonly { id: string; name: string; arguments: string }[],
  random: () => number,
): Piece[] {
  const cut: Piece[] = [];
  for (const [index, { id, name, arguments: given }] of calls.entries()) {
    for (let at = 0; at < given.length;) {
      const part = given.slice(at, at + 1 + Math.floor(random() * 5));
      const begins = at === 0 ? { id, name } : {};
      const toolCalls = [{ index, ...begins, argumentsFrom: at, arguments: part }];
      // A token for each character: the same place has the same number, however it is cut.
      const from = calls.slice(0, index).reduce((sum, call) => sum + call.arguments.length, at);
      cut.push({ ...piece(from, ""), tokens: part.length, toolCalls });
      at += part.length;
    }
  }
  return cut;
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("a log", () => {
  it("numbers what it is told from 1, and wakes who listens", () => {
    const log = new EventLog();
    let woken = 0;
    const unlisten = log.listen(() => (woken += 1));
    log.append({ kind: "started" });
    log.tell({ ...made, pieces: [piece(0, "a"), piece(1, "b", 1)] });
    expect([log.firstId, log.lastId, woken]).toEqual([1, 3, 2]);
    unlisten();
    log.append({ kind: "progress", completed: 1, total: 2 });
    expect([log.lastId, woken]).toEqual([4, 2]);
  });

  it("is bounded in bytes: the oldest go, and their numbers with them", () => {
    const log = new EventLog();
    const text = "x".repeat(10_000);
    for (let index = 0; index < 500; index += 1) {
      const next = { ...piece(0, text), input: index };
      expect(log.tell({ ...made, pieces: [next] })).toBe(true);
    }
    expect(log.bytesHeld).toBeLessThanOrEqual(2 * 1024 * 1024 + 1_000);
    expect(log.firstId).toBeGreaterThan(1);
    expect(log.at(log.firstId - 1)).toBeUndefined();
    expect(log.at(log.firstId)).toBeDefined();
    expect(log.bytesAfter(log.lastId)).toBe(0);
    expect(log.bytesAfter(log.lastId - 1)).toBeGreaterThan(10_000);
  });

  it("tells nothing more after a gap", () => {
    const log = new EventLog();
    expect(log.tell({ ...made, pieces: [piece(0, "a"), piece(4, "e", 4)] })).toBe(true);
    expect(log.tell({ ...made, pieces: [piece(1, "b", 1)] })).toBe(true);
    expect(told(log)).toEqual(["a"]);
  });
});

describe("a transcript", () => {
  it("tells every text once, however a second worker cuts it and wherever the first broke off", () => {
    const text = "the quick brown fox jumps over the lazy dog";
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = randomFrom(seed);
      const transcript = new Transcript();
      const first = pieces(text, random);
      const events = [...first.slice(0, Math.floor(random() * first.length)), ...first];
      let said = "";
      let tokens = 0;
      for (const each of events) {
        const taken = transcript.take(each);
        expect(["told", "known"]).toContain(taken.kind);
        if (taken.kind !== "told") continue;
        expect([taken.piece.textFrom, taken.piece.from]).toEqual([said.length, tokens]);
        said += taken.piece.text;
        tokens += taken.piece.tokens;
      }
      expect(said).toBe(text);
      expect(transcript.isWhole(tokens)).toBe(true);
    }
  });

  it("slices what overlaps, its log probabilities too", () => {
    const transcript = new Transcript();
    transcript.take({ ...piece(0, "ab"), tokens: 2, logprobs: [logprob("a"), logprob("b")] });
    const whole = { ...piece(1, "bc", 1), tokens: 2, logprobs: [logprob("b"), logprob("c")] };
    expect(transcript.take(whole)).toEqual({
      kind: "told",
      piece: { ...piece(2, "c", 2), tokens: 1, logprobs: [logprob("c")] },
    });
  });

  it("knows another text when it sees one", () => {
    const transcript = new Transcript();
    transcript.take(piece(0, "abc"));
    expect(transcript.take(piece(0, "abd")).kind).toBe("differs");
    expect(transcript.take(piece(2, "x", 4)).kind).toBe("gap");
    transcript.take(piece(1, "d", 3, "length"));
    expect(transcript.take(piece(2, "e", 4)).kind).toBe("differs");
  });

  it("tells the rest of a result in pieces that end with no half of a character", () => {
    const transcript = new Transcript();
    transcript.take(piece(0, "Hi "));
    const text = `Hi ${"👋".repeat(20_000)}`;
    const choice = { text, finish_reason: "length", tokens: 900, logprobs: null } as const;
    const rest = transcript.rest(0, { choices: [choice] }) ?? [];
    expect(rest.length).toBeGreaterThan(1);
    expect(rest.map((each) => each.text).join("")).toBe(text.slice(3));
    expect(rest.every((each) => each.text.isWellFormed())).toBe(true);
    expect(rest.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(899);
    expect(rest.at(-1)?.finishReason).toBe("length");
    expect(transcript.rest(0, { choices: [{ ...choice, text: "Ho" }] })).toBeNull();
  });

  it("tells every call once, however a second worker cuts it, and the rest of it from the result", () => {
    const calls = ['{"a": "the quick brown fox"}', "{}"].map((given, at) => ({
      id: `call_${at}`,
      name: "f",
      arguments: given,
    }));
    const choice = { text: "", finish_reason: "tool_calls", tokens: 99, logprobs: null } as const;
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = randomFrom(seed);
      const transcript = new Transcript();
      const first = callPieces(calls, random);
      const second = callPieces(calls, random);
      const fresh = [
        ...first.slice(0, Math.floor(random() * first.length)),
        ...second.slice(0, Math.floor(random() * second.length)),
      ].flatMap((each) => {
        const taken = transcript.take(each);
        expect(["told", "known"]).toContain(taken.kind);
        return taken.kind === "told" ? [taken.piece] : [];
      });
      const rest = transcript.rest(0, { choices: [{ ...choice, tool_calls: calls }] }) ?? [];
      expect(rest.at(-1)?.finishReason).toBe("tool_calls");
      const grown: { id: string; name: string; arguments: string }[] = [];
      for (const each of [...fresh, ...rest].flatMap(({ toolCalls = [] }) => toolCalls)) {
        const { index, id, name, argumentsFrom, arguments: given } = each;
        if (id !== undefined && name !== undefined) grown[index] = { id, name, arguments: "" };
        const call = grown[index];
        expect(call?.arguments.length).toBe(argumentsFrom);
        if (call !== undefined) call.arguments += given;
      }
      expect(grown).toEqual(calls);
    }
  });

  it("knows another call when it sees one", () => {
    const transcript = new Transcript();
    const begun = { index: 0, id: "a", name: "f", argumentsFrom: 0, arguments: '{"a' };
    const call = (from: number, toolCalls: NonNullable<Piece["toolCalls"]>) =>
      transcript.take({ ...piece(from, ""), toolCalls }).kind;
    expect(call(0, [begun])).toBe("told");
    expect(call(0, [{ ...begun, id: "b" }])).toBe("differs");
    expect(call(0, [{ ...begun, name: "g" }])).toBe("differs");
    expect(call(0, [{ ...begun, arguments: '{"b' }])).toBe("differs");
    expect(call(1, [{ index: 0, argumentsFrom: 9, arguments: "x" }])).toBe("gap");
    expect(call(1, [{ ...begun, index: 2 }])).toBe("gap");
    expect(call(1, [{ index: 1, argumentsFrom: 0, arguments: "x" }])).toBe("gap");
    const whole = { text: "", finish_reason: "length", tokens: 9, logprobs: null } as const;
    const restOf = (given: string) => {
      const tool_calls = [{ id: "a", name: "f", arguments: given }];
      return transcript.rest(0, { choices: [{ ...whole, tool_calls }] });
    };
    expect(restOf("{")).toBeNull();
    expect(restOf('{"b": 1}')).toBeNull();
    expect(transcript.rest(0, { choices: [whole] })).toBeNull();
    expect(restOf('{"a": 1}')).not.toBeNull();
  });

  it("begins each choice once, one that is calls alone too", () => {
    const tool_calls = ["a", "b"].map((name) => ({ id: `call_${name}`, name, arguments: "{}" }));
    const calls = { text: "", finish_reason: "tool_calls", tokens: 9, logprobs: null } as const;
    const choice = { ...calls, tool_calls };
    const rest = new Transcript().rest(0, { choices: [choice] }) ?? [];
    expect(rest.filter(({ from, textFrom }) => from + textFrom === 0)).toEqual([rest[0]]);
    expect(rest.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(9);
    const begun = rest.flatMap(({ toolCalls = [] }) => toolCalls);
    expect(begun).toMatchObject([
      { index: 0, name: "a" },
      { index: 1, name: "b" },
    ]);
  });

  it("tells log probabilities with their tokens, those of a repeated prompt before", () => {
    const logprobs = Array.from({ length: 100 }, (_, index) => logprob(`${index} `));
    const text = logprobs.map((token) => token.text).join("");
    const choice = { text, finish_reason: "length", tokens: 60, logprobs } as const;
    const rest = new Transcript().rest(0, { choices: [choice] }) ?? [];
    expect(rest.flatMap((each) => each.logprobs ?? [])).toEqual(logprobs);
    for (const { text: said, logprobs: of = [] } of rest) {
      expect(said).toBe(of.map((token) => token.text).join(""));
    }
    expect(rest.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(60);
  });
});
