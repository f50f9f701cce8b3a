/** Files with bytes changed at random: whoever reads one refuses it, or reads what lies within it. */
import { writeFile } from "node:fs/promises";
import { expect } from "vitest";
import { WeightError, type WeightSource } from "../../gpu-worker/weights/weight-source.ts";

const rounds = 1_500;

/** @param end bytes from here on are data, and stay */
export async function expectRefusedOrRead(
  good: Uint8Array,
  { file, end, open }: { file: string; end: number; open: (file: string) => WeightSource },
): Promise<void> {
  let state = 1;
  for (let round = 0; round < rounds; round++) {
    const changed = good.slice();
    for (let change = 0; change <= round % 3; change++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      changed[(state >>> 8) % end] = state & 0xff;
    }
    await writeFile(file, changed);
    try {
      const source = open(file);
      for (const name of source.names()) source.read(name);
      source.close();
    } catch (error) {
      expect(error).toBeInstanceOf(WeightError);
    }
  }
}
