/** The official clients, unmodified, against one running stack. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { writeMinilmWithHead } from "../models/minilm-with-head.ts";
import { describeAiSdk } from "./clients/ai-sdk.ts";
import { describeCohere } from "./clients/cohere.ts";
import { describeHuggingFace } from "./clients/hugging-face.ts";
import { describeLangChain } from "./clients/langchain.ts";
import { describeOpenai } from "./clients/openai.ts";
import { describePlainHttp } from "./clients/plain-http.ts";
import { describePython, headsAsked } from "./clients/python.ts";
import { freeTier } from "./clients/truth.ts";

const models = mkdtempSync(path.join(tmpdir(), "llm-os-clients-"));
let stack: RunningStack;

beforeAll(async () => {
  for (const name of headsAsked) await writeMinilmWithHead(models, name);
  stack = await startStack({ env: { ...freeTier, LLM_OS_MODELS: models } });
});

afterAll(async () => {
  await stack.stop();
  rmSync(models, { recursive: true, force: true });
});

const running = () => stack;

describeOpenai(running);
describeAiSdk(running);
describeLangChain(running);
describeCohere(running);
describeHuggingFace(running);
describePlainHttp(running);
describePython(running);
