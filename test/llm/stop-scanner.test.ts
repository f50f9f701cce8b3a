import { describe, expect, it } from "vitest";
import { StopScanner } from "../../gpu-worker/llm/stop-scanner.ts";
import { randomFrom } from "../../contract/random.ts";

function pushAll(stops: string[], pieces: string[]) {
  const scanner = new StopScanner(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = scanner.push(piece);
    shown.push(text);
    if (stop !== null) return { shown, stop };
  }
  return { shown: [...shown, scanner.finish()], stop: null };
}

/** The whole text, grown by one unit at a time: the first stop string that it ends with. */
function naive(text: string, stops: string[]) {
  for (let end = 1; end <= text.length; end += 1) {
    const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = complete.toSorted((a, b) => b.length - a.length)[0];
    if (longest !== undefined)
      return { text: text.slice(0, end - longest.length), stop: longest, end };
  }
  return { text, stop: null, end: text.length };
}

/** How much of the text so far may be shown: all but its longest end that begins a stop string. */
function showable(text: string, stops: string[]) {
  let from = 0;
  while (
    from < text.length &&
    !stops.some((stop) => stop !== text.slice(from) && stop.startsWith(text.slice(from)))
  )
    from += 1;
  return from;
}

describe("stop strings", () => {
  it("are found across pieces, and what begins one is held back until it is known", () => {
    expect(pushAll(["\n\nUser:"], ["Yes.\n", "\nUs", "eful. \n\n", "User", ": x"])).toEqual({
      shown: ["Yes.", "", "\n\nUseful. ", "", ""],
      stop: "\n\nUser:",
    });
  });

  it("end the text where the first is complete, though another began before", () => {
    expect(pushAll(["abcd", "bc"], ["xa", "bcd"])).toEqual({ shown: ["x", "a"], stop: "bc" });
    expect(pushAll(["bc", "abc"], ["xabc"])).toEqual({ shown: ["x"], stop: "abc" });
  });

  it("are shown when the text ends in the middle of one", () => {
    expect(pushAll(["STOP"], ["a ST", "O"])).toEqual({ shown: ["a ", "", "STO"], stop: null });
  });

  it("a surrogate pair is never cut", () => {
    expect(pushAll([], ["a\ud83d", "\ude00b"]).shown).toEqual(["a", "\u{1f600}b", ""]);
    expect(pushAll(["\u{1f600}!"], ["a\ud83d", "\ude00?"]).shown).toEqual(["a", "\u{1f600}?", ""]);
  });

  it("are found as in the whole text, however it is cut: 20 000 random texts", () => {
    const random = randomFrom(1);
    const below = (bound: number) => Math.floor(random() * bound);
    const letters = ["a", "b", "c", "\u{1f600}"];
    const word = (length: number) =>
      Array.from({ length }, () => letters[below(letters.length)] ?? "").join("");
    let stopped = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const stops = Array.from({ length: below(5) }, () => word(1 + below(5)));
      const text = word(below(24));
      const pieces: string[] = [];
      for (let from = 0; from < text.length;) {
        const to = from + below(5);
        pieces.push(text.slice(from, to));
        from = to;
      }
      const expected = naive(text, stops);
      const actual = pushAll(stops, pieces);
      expect({ text: actual.shown.join(""), stop: actual.stop }).toEqual({
        text: expected.text,
        stop: expected.stop,
      });
      for (const piece of actual.shown) expect(piece.isWellFormed()).toBe(true);
      let came = 0;
      let shown = 0;
      for (const [index, piece] of pieces.entries()) {
        came += piece.length;
        shown += actual.shown[index]?.length ?? 0;
        if (came >= expected.end) break;
        const whole = text.slice(0, came);
        // Nothing is held back longer than it must be: half a pair is the one exception.
        expect(showable(whole, stops) - shown).toBeLessThanOrEqual(1);
        expect(shown).toBeLessThanOrEqual(showable(whole, stops));
      }
      if (expected.stop !== null) stopped += 1;
    }
    expect(stopped).toBeGreaterThan(5_000);
  });
});
