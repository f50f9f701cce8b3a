/** The official clients, unmodified, against one running stack. */
import { afterAll, beforeAll } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { describeAiSdk } from "./clients/ai-sdk.ts";
import { describeHuggingFace } from "./clients/hugging-face.ts";
import { describeOpenai } from "./clients/openai.ts";
import { describePlainHttp } from "./clients/plain-http.ts";

let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack();
});

afterAll(() => stack.stop());

const running = () => stack;

describeOpenai(running);
describeAiSdk(running);
describeHuggingFace(running);
describePlainHttp(running);
