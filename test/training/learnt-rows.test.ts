/** Which tokens of an example are learnt, and how texts share rows. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeDecoderData } from "../../gpu-worker/training/decoder-data.ts";
import type { DecoderData } from "../../gpu-worker/training/decoder-data.ts";
import { packedFeeds } from "../../gpu-worker/training/packed-rows.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import type { Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { writeTinyTokenizer } from "../catalog/tiny-decoder.ts";
import { chattyTemplate } from "./chatty-decoder.ts";

let folder: string;
let tokenizer: Tokenizer;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "learnt-rows-"));
  await writeTinyTokenizer(folder, 50);
  tokenizer = await loadTokenizer(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const signal = new AbortController().signal;

async function read(data: DecoderData, template = chattyTemplate, tokensMax = 100) {
  const chatTemplate = { template, bosToken: "<s>", eosToken: "</s>" };
  const end = { endToken: 2, endTokens: new Set([2]) };
  const reader = { id: "tiny", tokenizer, tokensMax, ...end, chatTemplate };
  const { training } = await encodeDecoderData(data, reader, signal);
  return training.map(({ ids, learnt }) => [ids, learnt.map((at) => ids[at] ?? NaN)] as const);
}

type Message = { role: "user" | "assistant" | "system"; content: string; weight?: 0 | 1 };

const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string, weight?: 0 | 1): Message => ({
  role: "assistant",
  content,
  ...(weight !== undefined && { weight }),
});
const chat = (...messages: Message[]): DecoderData => ({
  task: "chat",
  parts: { training: [{ messages }], heldOut: [] },
});

describe("of a conversation", () => {
  const messages = [user("w10"), assistant("w11 w12"), user("w13"), assistant("w14")];

  it("what the assistant says is learnt, with the end of its turn and nothing after", async () => {
    const [row] = await read(chat({ role: "system", content: "w20" }, ...messages));
    const ids = [1, 5, 20, 2, 6, 3, 10, 2, 6, 4, 11, 12, 2, 6, 3, 13, 2, 6, 4, 14, 2];
    expect(row).toEqual([ids, [11, 12, 2, 14, 2]]);
  });

  it("an answer of weight 0 is read and not learnt", async () => {
    const weighted = [user("w10"), assistant("w11", 0), user("w13"), assistant("w14", 1)];
    const [row] = await read(chat(...weighted));
    expect(row?.[1]).toEqual([14, 2]);
    const [first] = await read(chat(user("w10"), assistant("w11"), user("w3"), assistant("w9", 0)));
    expect(first).toEqual([
      [1, 3, 10, 2, 6, 4, 11, 2],
      [11, 2],
    ]);
  });

  it("the end token is learnt where the template writes none", async () => {
    const bare = "{% for m in messages %} {{ m.content }}{% endfor %}";
    expect(await read(chat(...messages), bare)).toEqual([
      [
        [10, 11, 12, 13, 14, 2],
        [11, 12, 14, 2],
      ],
    ]);
  });

  it("a template that changes earlier turns makes an example of each", async () => {
    const forgets = chattyTemplate.replace(
      "+ m.content +",
      "+ (m.content if loop.last or m.role == 'user' else 'w7') +",
    );
    expect(await read(chat(...messages), forgets)).toEqual([
      [
        [1, 3, 10, 2, 6, 4, 11, 12, 2],
        [11, 12, 2],
      ],
      [
        [1, 3, 10, 2, 6, 4, 7, 2, 6, 3, 13, 2, 6, 4, 14, 2],
        [14, 2],
      ],
    ]);
  });

  it("a template that counts messages is refused", async () => {
    const counts = `{{ messages | length }}${chattyTemplate}`;
    await expect(read(chat(...messages), counts)).rejects.toThrow("no turn can be told");
  });

  it("what is longer than the model reads is cut, or named where no answer is left", async () => {
    const [row] = await read(chat(...messages), chattyTemplate, 8);
    expect(row).toEqual([
      [1, 3, 10, 2, 6, 4, 11, 12],
      [11, 12],
    ]);
    await expect(read(chat(...messages), chattyTemplate, 5)).rejects.toThrow(
      'the conversation "w10" has 17 tokens, and the first 5',
    );
  });
});

it("of a completion its tokens are learnt, with the end token", async () => {
  const example = { prompt: "w10 w11", completion: " w12" };
  const data: DecoderData = { task: "completion", parts: { training: [example], heldOut: [] } };
  expect(await read(data)).toEqual([
    [
      [1, 10, 11, 12, 2],
      [12, 2],
    ],
  ]);
});

it("every token of a long text is learnt once, window by window", async () => {
  const words = Array.from({ length: 40 }, (_, at) => `w${3 + at}`).join(" ");
  const data: DecoderData = { task: "pretraining", parts: { training: [words], heldOut: [] } };
  const rows = await read(data, chattyTemplate, 16);
  expect(rows.map(([ids]) => ids?.length)).toEqual([16, 16, 12]);
  const learnt = rows.flatMap(([, ids]) => ids ?? []);
  expect(learnt).toEqual([...Array.from({ length: 40 }, (_, at) => 3 + at), 2]);
});

it("texts share rows, each in places of its own", () => {
  const lengths = [200, 100, 90, 60, 50, 3];
  const texts = lengths.map((length, text) => ({
    ids: Array.from({ length: length + 1 }, (_, at) => 1000 * text + at),
    learnt: [1, length],
  }));
  const feeds = packedFeeds(texts, 7);
  const { input_ids: ids, position_ids: places, segment_ids: segments } = feeds;
  const [rows = 0, length = 0] = ids?.shape ?? [];
  expect(rows).toBe(2);
  expect(length).toBeLessThan(260);
  const numbers = (name: string) => Array.from(feeds[name]?.data ?? [], Number);
  const [allIds, allPlaces, allSegments] = ["input_ids", "position_ids", "segment_ids"].map(
    numbers,
  );
  for (const [at, id] of (allIds ?? []).entries()) {
    const segment = allSegments?.[at] ?? NaN;
    expect(id).toBe(segment < 0 ? 7 : 1000 * segment + (allPlaces?.[at] ?? NaN));
  }
  expect(places?.shape).toEqual(segments?.shape);
  const asked = numbers("positions").map((at) => allIds?.[at]);
  expect(asked).toEqual(lengths.flatMap((each, text) => [1000 * text, 1000 * text + each - 1]));
  expect(numbers("labels")).toEqual(asked.map((id) => (id ?? NaN) + 1));
});
