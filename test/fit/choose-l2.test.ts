/** The strength of a head is chosen by rows that did not train it. */
import { expect, it } from "vitest";
import { accuracyOf, chooseL2 } from "../../gpu-worker/fit/choose-l2.ts";

/** Two classes, told by the first of `width` features; the others are noise that few rows let a head learn by heart. */
function rowsOf(count: number, seed: number) {
  const width = 40;
  const classes = Uint16Array.from({ length: count }, (_, row) => row % 2);
  const features = Float32Array.from({ length: count * width }, (_, at) => {
    const noise = Math.sin((at + seed) * 78.233) * 43_758.5453;
    const random = 2 * (noise - Math.floor(noise)) - 1;
    const row = Math.floor(at / width);
    return at % width === 0 ? random + (classes[row] === 1 ? 0.5 : -0.5) : random;
  });
  return { features, width, classes };
}

it("takes the strength whose head does best on held-out rows, and stops when weaker ones only lose", async () => {
  const [training, heldOut] = [rowsOf(60, 1), rowsOf(400, 99_991)];
  const candidates = [3, 1, 0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
  const seen: number[] = [];
  const { l2, head, trials } = await chooseL2(training, heldOut, {
    classCount: 2,
    candidates,
    onTrial: (trial) => seen.push(trial.l2),
  });
  const most = Math.max(...trials.map(({ accuracy }) => accuracy));
  expect(trials.find((trial) => trial.l2 === l2)?.accuracy).toBe(most);
  expect(accuracyOf(head, heldOut)).toBe(most);
  expect(seen).toEqual(candidates.slice(0, seen.length));
  expect(l2).toBeGreaterThan(1e-4);
});
