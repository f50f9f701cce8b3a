/**
 * Plain texts as windows of token ids, and which of their tokens are asked for: 15 of 100, of which 8 of 10 are
 * masked, one is another token and one stays as it is (Devlin et al., https://arxiv.org/abs/1810.04805, 3.1).
 */
import { encodeTexts } from "../pipelines/text-tokens.ts";
import { windowsOf } from "../pipelines/windows.ts";
import { randomFrom } from "#contract/random.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { mixSeeds } from "./batches.ts";
import type { TokenRow } from "./encode-texts.ts";

/** `from` and `to`: the text's own tokens, by their index in `ids`. */
export type TextWindow = TokenRow & { readonly from: number; readonly to: number };

export type MaskRules = {
  readonly maskId: number;
  /** Ids are below this. */
  readonly vocabulary: number;
};

export type MaskedWindow = {
  readonly ids: readonly number[];
  /** Indices in `ids`, ascending, and what stood there. */
  readonly positions: readonly number[];
  readonly labels: readonly number[];
};

/** Special tokens included. Longer windows take long on a CPU, and BERT itself saw few. */
const windowTokens = 256;

const askedShare = 0.15;
const maskedShare = 0.8;
const keptShare = 0.1;

/** Windows of all texts, in order; none of a text without tokens. @throws the signal's reason */
export async function encodeWindows(
  texts: readonly string[],
  { tokenizer, maxTokens }: { readonly tokenizer: Tokenizer; readonly maxTokens: number },
  signal: AbortSignal,
): Promise<TextWindow[]> {
  const room = Math.min(windowTokens, maxTokens) - tokenizer.specialTokens.single;
  const windows: TextWindow[] = [];
  const named = texts.map((text, at) => ({ text, name: `${at}` }));
  for await (const { ids: all } of encodeTexts(named, tokenizer, { signal })) {
    for (const [start, end] of windowsOf(all.length, { room, overlap: 0 })) {
      const { ids, starts } = tokenizer.wrap(all.slice(start, end));
      const from = starts[0] ?? 0;
      windows.push({ ids, from, to: from + end - start });
    }
  }
  return windows;
}

/** How many of a window's tokens are asked for; one at least. */
function askedOf({ from, to }: Pick<TextWindow, "from" | "to">): number {
  return Math.max(1, Math.round((to - from) * askedShare));
}

/** By the seed alone. */
export function maskWindow(
  window: TextWindow,
  { maskId, vocabulary }: MaskRules,
  seed: number,
): MaskedWindow {
  const random = randomFrom(seed);
  const places = Array.from({ length: window.to - window.from }, (_, at) => window.from + at);
  const count = askedOf(window);
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(random() * (places.length - at));
    const [a = 0, b = 0] = [places[at], places[other]];
    [places[at], places[other]] = [b, a];
  }
  const positions = places.slice(0, count).toSorted((a, b) => a - b);
  const ids = [...window.ids];
  for (const position of positions) {
    const draw = random();
    if (draw < maskedShare) ids[position] = maskId;
    else if (draw >= maskedShare + keptShare) ids[position] = Math.floor(random() * vocabulary);
  }
  return { ids, positions, labels: positions.map((at) => window.ids[at] ?? 0) };
}

/** The masks of a batch; a window has others in another draw. */
export function maskBatch(
  windows: readonly TextWindow[],
  indices: readonly number[],
  { rules, draw }: { readonly rules: MaskRules; readonly draw: number },
): MaskedWindow[] {
  return indices.flatMap((at) => {
    const window = windows[at];
    return window === undefined ? [] : [maskWindow(window, rules, mixSeeds(draw, at))];
  });
}
