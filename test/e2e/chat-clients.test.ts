/** The official clients of chat and completions, unmodified, against one running stack. */
import { execFile } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { chatSample } from "../../edge/portal/samples.ts";
import { describeAiSdk } from "./chat-clients/ai-sdk.ts";
import { isLarge, model } from "./chat-model.ts";
import { messageOf } from "./chat-clients/chat-truth.ts";
import { describeHuggingFace } from "./chat-clients/hugging-face.ts";
import { describeLangChain } from "./chat-clients/langchain.ts";
import { describeOpenai } from "./chat-clients/openai.ts";
import { describePrompts } from "./chat-clients/prompts.ts";
import { describeResponses } from "./chat-clients/responses.ts";
import { describeStructure } from "./chat-clients/structure.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const run = promisify(execFile);
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("writers");
  // Its graph is built with the first call.
  await messageOf(stack);
});

const running = () => stack;

describeOpenai(running);
describeResponses(running);
describeAiSdk(running);
describeLangChain(running);
describeHuggingFace(running);
describePrompts(running);
describeStructure(running);

describe.skipIf(!isLarge)("the welcome page's chat", () => {
  it.skipIf(process.platform === "win32")("is answered as curl sends it", async () => {
    const { stdout } = await run("sh", ["-c", `${chatSample(stack.url).curl} --silent`]);
    expect(JSON.parse(stdout)).toMatchObject({ object: "chat.completion", model });
  });

  it("is written as it comes in JavaScript", async () => {
    const code = chatSample(stack.url).javaScript;
    const cwd = path.resolve(import.meta.dirname, "../..");
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", code], {
      cwd,
    });
    expect(stdout.trim()).not.toBe("");
  });
});
