/** What of a model's answer is the new text: small models put words before it, marks around it and notes behind it. */
import { gap } from "#contract/augmentation/rewrite-prompts.ts";
import type { Random } from "#contract/random.ts";

/** `Sure, here is the text:`, and the like, on a line of its own or before the text. */
const leadIn = /^(?:sure|certainly|of course|here(?:'s| is| are)?|okay|ok)\b[^:\n]{0,80}:\s*/i;
const bullet = /^(?:[-*•]|\d{1,2}[.)])\s+/;
const quotes = /^["'“”«»„‘’`]+|["'“”«»„‘’`]+$/g;

/** @returns the first line that says something; null: there is none */
export function writtenText(answer: string): string | null {
  const lines = answer.split("\n").map((line) => tidy(line.trim().replace(leadIn, "")));
  return lines.find((line) => /[\p{L}\p{N}]/u.test(line)) ?? null;
}

function tidy(line: string): string {
  const bare = line.replace(bullet, "").trim();
  // Quotes that stand around the whole of it; an apostrophe within stays.
  return /^["“«„`]|^['‘].*['’]$/.test(bare) ? bare.replaceAll(quotes, "").trim() : bare;
}

export type Slot = {
  /** The text with a gap in it. */
  readonly frame: string;
  /** @returns null for what fills no gap: several sentences, or what stood there */
  fill(answer: string): string | null;
};

/** Past it an answer is no filling, but a text of its own. */
const fillingWordsMax = 4;
/** A word that carries meaning is seldom shorter. */
const lettersMin = 4;

/** Takes one word out. @returns null where the text has none to spare */
export function openSlot(text: string, random: Random): Slot | null {
  const words = [...text.matchAll(/[\p{L}\p{M}\p{N}'’-]+/gu)];
  const fitting = words.filter(([word]) => word.length >= lettersMin);
  const found = fitting[Math.floor(random() * fitting.length)];
  if (found === undefined || words.length < 2) return null;
  const [word] = found;
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + word.length)];
  return {
    frame: `${before}${gap}${after}`,
    fill(answer) {
      const filling = writtenText(answer)?.replace(/[.,;:!?]+$/, "") ?? "";
      const count = filling.split(/\s+/).length;
      const same = filling.toLowerCase() === word.toLowerCase();
      if (filling === "" || count > fillingWordsMax || filling.includes(gap) || same) return null;
      return `${before}${filling}${after}`;
    },
  };
}
