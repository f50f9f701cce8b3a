/**
 * Which texts have been seen, at which line, and with what said of them: by digests, so that a million texts take 48
 * MB whatever their length. Texts that differ in case or white space alone are the same. Of two texts that differ, the
 * first 64 bits of sha256 are the same once in thirty million files of the largest size.
 */
import { hash } from "node:crypto";

export type Seen = {
  /** Where the text stood first. */
  readonly line: number;
  /** Whether the same was said of it there. */
  readonly sameTarget: boolean;
};

/** Of a slot: two halves of the text's digest, a quarter of the target's, the line; line 0 is a free slot. */
const width = 4;
const firstSlots = 1 << 12;
const targetsMax = 1_000;
const targetUnitsMax = 100;

export class TextIndex {
  #slots = new Uint32Array(firstSlots * width);
  #size = 0;
  /** Digests of short targets. */
  readonly #targets = new Map<string, number>();

  /** Null: nobody has added the text. */
  find(text: string, target: string): Seen | null {
    return this.#seen(keyOf(text), this.#digestOf(target));
  }

  /** As `find`, and remembers the text where it is new. @param line counted from 1 */
  add(text: string, target: string, line: number): Seen | null {
    const [key, said] = [keyOf(text), this.#digestOf(target)];
    const seen = this.#seen(key, said);
    if (seen !== null) return seen;
    if ((this.#size += 1) * 2 * width > this.#slots.length) this.#grow();
    const slot = slotOf(this.#slots, key);
    this.#slots.set([...key, said, line], slot);
    return null;
  }

  /** Labels come again and again, and a digest takes as long as all the rest. */
  #digestOf(target: string): number {
    const known = this.#targets.get(target);
    if (known !== undefined) return known;
    const made = digest(target).readUInt32LE(0);
    const short = target.length <= targetUnitsMax;
    if (short && this.#targets.size < targetsMax) this.#targets.set(target, made);
    return made;
  }

  #seen(key: Key, said: number): Seen | null {
    const slot = slotOf(this.#slots, key);
    const line = this.#slots[slot + 3] ?? 0;
    return line === 0 ? null : { line, sameTarget: this.#slots[slot + 2] === said };
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at += width) {
      if (old[at + 3] === 0) continue;
      const slot = slotOf(this.#slots, [old[at] ?? 0, old[at + 1] ?? 0]);
      this.#slots.set(old.subarray(at, at + width), slot);
    }
  }
}

type Key = readonly [number, number];

/** The slot of a key, or the free one where it belongs. There is always a free one. */
function slotOf(slots: Uint32Array, [high, low]: Key): number {
  const mask = slots.length / width - 1;
  let slot = high & mask;
  for (;;) {
    const at = slot * width;
    if (slots[at + 3] === 0 || (slots[at] === high && slots[at + 1] === low)) return at;
    slot = (slot + 1) & mask;
  }
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

function keyOf(text: string): Key {
  const bytes = digest(normalised(text));
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}

/** As texts are compared: in lower case, each run of white space a space, composed characters (Unicode's NFC). */
export function normalised(text: string): string {
  return text.toLowerCase().trim().replaceAll(/\s+/g, " ").normalize("NFC");
}
