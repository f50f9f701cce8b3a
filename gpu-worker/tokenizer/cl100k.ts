/**
 * Ids of cl100k_base, the vocabulary in which OpenAI's clients send token ids, to the text they stand for, as tiktoken
 * decodes them: what is no UTF-8 becomes U+FFFD, a byte order mark stays. The ranks are js-tiktoken's, a megabyte that
 * is loaded when the first such ids come. Its own decoder ignores ids that it does not know, drops the byte order mark,
 * and is built at once with all that it takes to encode; this one is built in time slices.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";

export type Cl100k = {
  /** Every id is below. */
  readonly size: number;
  has(id: number): boolean;
  /**
   * Stops some way past `charactersMax` UTF-16 units. An unknown id stands for nothing.
   * @throws as `slices.next`
   */
  decode(
    ids: readonly number[],
    options: { charactersMax: number; slices: TimeSlices },
  ): Promise<string>;
};

type Ranks = {
  readonly bpe_ranks: string;
  readonly special_tokens: Readonly<Record<string, number>>;
};

/** A token has up to 128 bytes. */
const idsAtOnce = 1_024;

let loaded: Promise<Cl100k> | undefined;

/** Loaded once in a process. */
export function loadCl100k(): Promise<Cl100k> {
  loaded ??= import("js-tiktoken/ranks/cl100k_base").then(({ default: ranks }) => build(ranks));
  return loaded;
}

/** `starts` and `ends` of each id's bytes in `bytes`; an id without bytes is unknown. */
type Vocabulary = { bytes: Uint8Array; starts: Uint32Array; ends: Uint32Array };

async function build(ranks: Ranks): Promise<Cl100k> {
  const { bytes, starts, ends } = await vocabularyOf(ranks);
  const has = (id: number) => (ends[id] ?? 0) > 0;
  const bytesOf = (id: number) => bytes.subarray(starts[id], ends[id] ?? 0);
  return {
    size: ends.length,
    has,
    async decode(ids, { charactersMax, slices }) {
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      let text = "";
      for (let at = 0; at < ids.length && text.length <= charactersMax; at += idsAtOnce) {
        if (slices.over) await slices.next();
        const parts = ids
          .slice(at, at + idsAtOnce)
          .filter(has)
          .map(bytesOf);
        text += decoder.decode(Buffer.concat(parts), { stream: true });
      }
      return text + decoder.decode();
    },
  };
}

/** A line of the ranks is a mark, the id of its first token, and its tokens in base64, all between spaces. */
async function vocabularyOf({ bpe_ranks: lines, special_tokens: special }: Ranks) {
  const size = 1 + Math.max(...Object.values(special));
  // Base64 is longer than what it stands for.
  const bytes = new Uint8Array(lines.length);
  const made: Vocabulary = { bytes, starts: new Uint32Array(size), ends: new Uint32Array(size) };
  let end = 0;
  const add = (id: number, token: Uint8Array) => {
    made.bytes.set(token, end);
    made.starts[id] = end;
    end += token.length;
    made.ends[id] = end;
  };
  const slices = new TimeSlices();
  for (const line of lines.split("\n")) {
    const [, first, ...tokens] = line.split(" ");
    for (const [index, token] of tokens.entries()) {
      if (slices.over) await slices.next();
      add(Number(first) + index, Buffer.from(token, "base64"));
    }
  }
  for (const [text, id] of Object.entries(special)) add(id, Buffer.from(text));
  return made;
}
