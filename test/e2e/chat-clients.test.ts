/** The official clients of chat and completions, unmodified, against one running stack. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { describeAiSdk } from "./chat-clients/ai-sdk.ts";
import { messageOf, placeModel } from "./chat-clients/chat-truth.ts";
import { describeHuggingFace } from "./chat-clients/hugging-face.ts";
import { describeLangChain } from "./chat-clients/langchain.ts";
import { describeOpenai } from "./chat-clients/openai.ts";

const models = mkdtempSync(path.join(tmpdir(), "llm-os-chat-clients-"));
let stack: RunningStack;

beforeAll(async () => {
  await placeModel(models);
  stack = await startStack({ env: { LLM_OS_MODELS: models } });
  // Its graph is built with the first call.
  await messageOf(stack);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  rmSync(models, { recursive: true, force: true });
});

const running = () => stack;

describeOpenai(running);
describeAiSdk(running);
describeLangChain(running);
describeHuggingFace(running);
