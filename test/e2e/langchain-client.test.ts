/** LangChain's Python client, where Python and that package are here: see bench/peers/install-python.sh. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { peerPython } from "../peer-python.ts";
import { tiktokenFile } from "../tokenizer/tiktoken-file.ts";
import { cosine } from "./vectors.ts";

const usable = peerPython({
  modules: ["langchain_openai", "tiktoken"],
  what: "LangChain's Python client",
  script: "install-python.sh",
  folder: "python",
});

type Vectors = {
  by_default: number[][];
  as_texts: number[][];
  query: number[];
  /** Of each answer, in order. */
  warnings: (string | null)[];
};

const texts = [
  "How do I reset my password?",
  "I forgot my login",
  "Die Katze sitzt auf der Matte.",
  "東京は日本の首都です。😀",
  "def f(x):\n    return x ** 2  # squared",
];

describe.skipIf(usable === null)("LangChain's OpenAIEmbeddings", () => {
  /** Where tiktoken looks for its file before it downloads it; it takes none of another digest. */
  const cache = mkdtempSync(path.join(tmpdir(), "llm-os-tiktoken-"));
  let stack: RunningStack;

  beforeAll(async () => {
    const source = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken";
    const name = createHash("sha1").update(source).digest("hex");
    writeFileSync(path.join(cache, name), tiktokenFile());
    stack = await startStack();
  });

  afterAll(async () => {
    await stack.stop();
    rmSync(cache, { recursive: true, force: true });
  });

  it("gets the vectors of its texts, token ids though it sends", async () => {
    const script = path.join(import.meta.dirname, "clients/python/langchain_client.py");
    const model = "all-MiniLM-L6-v2";
    const run = promisify(execFile)(usable ?? "", [script, stack.url, stack.operatorKey, model], {
      env: { ...process.env, TIKTOKEN_CACHE_DIR: cache },
      maxBuffer: 2 ** 24,
    });
    run.child.stdin?.end(JSON.stringify(texts));
    const vectors = JSON.parse((await run).stdout) as Vectors;
    const { data } = await embeddingsOf(texts);
    expect(vectors.by_default).toHaveLength(texts.length);
    const ofIds = expect.stringContaining("cl100k_base");
    expect(vectors.warnings).toEqual([ofIds, null, ofIds]);
    for (const [at, { embedding }] of data.entries()) {
      expect(cosine(vectors.by_default[at] ?? [], embedding)).toBeGreaterThan(0.9999);
      expect(cosine(vectors.as_texts[at] ?? [], embedding)).toBeGreaterThan(0.9999);
    }
    expect(cosine(vectors.query, data[0]?.embedding ?? [])).toBeGreaterThan(0.9999);
  });

  async function embeddingsOf(input: string[]): Promise<{ data: { embedding: number[] }[] }> {
    const response = await fetch(`${stack.url}/v1/embeddings`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${stack.operatorKey}`,
      },
      body: JSON.stringify({ model: "all-MiniLM-L6-v2", input }),
    });
    return (await response.json()) as { data: { embedding: number[] }[] };
  }
});
