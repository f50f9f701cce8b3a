import { describe, expect, it } from "vitest";
import { publicWords } from "../../gpu-worker/downloads/public-words.ts";

describe("a text of foreign origin", () => {
  it.each([
    ["Load model from /var/lib/llm-os/a-b/model.onnx failed", "Load model from model.onnx failed"],
    ["open 'C:\\Users\\me\\models\\x.bin'", "open 'x.bin'"],
    ["https://user:pw@hub.internal/a/b?c=d refused", "(an address) refused"],
    ["connect to 10.0.0.7:8443 or localhost:9000", "connect to (an address) or (an address)"],
    ["BAAI/bge-small-en-v1.5/config.json and/or 1_Pooling/config.json: labels", null],
    ["set LLM_OS_MODELS to the folder around it", null],
  ])("is told in public words: %s", (text, told) => {
    expect(publicWords(text)).toBe(told ?? text);
  });
});
