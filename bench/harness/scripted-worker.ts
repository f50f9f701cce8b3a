/**
 * A worker whose model is a script: queue, consumer, reporter and WebSocket are a worker's own, and what each prompt
 * asks for is written token by token at a given pace. Started by scripted-stack.ts, with the environment of a worker.
 */
import { pino } from "pino";
import * as z from "zod";
import type { JobMessage } from "#contract/job-message.ts";
import type { ModelState } from "#contract/models.ts";
import { limits } from "#contract/limits.ts";
import { resultDocument } from "#contract/result-document.ts";
import { Announcer } from "../../gpu-worker/jobs/announcer.ts";
import { ComputationReporter } from "../../gpu-worker/jobs/computation-reporter.ts";
import type {
  ComputationResult,
  ExecuteOptions,
} from "../../gpu-worker/jobs/computation-executor.ts";
import { openEdgeClient } from "../../gpu-worker/jobs/edge-client.ts";
import { HeldMessages } from "../../gpu-worker/jobs/held-messages.ts";
import { MessageConsumer } from "../../gpu-worker/jobs/message-consumer.ts";
import { Poller } from "../../gpu-worker/jobs/poller.ts";
import { openSqsQueue } from "../../gpu-worker/jobs/sqs-queue.ts";
import { createMetrics } from "../../gpu-worker/telemetry/metrics.ts";
import { onLauncherGone, tellLauncher } from "../../infra/local/child-protocol.ts";
import { ScriptPrompt, scriptedModel, tokenText } from "./script-prompt.ts";

const backoff = { firstMs: 100, maxMs: 3_000, random: Math.random };
const computationsMax = 64;
const log = pino({ level: "warn" });
const signal = new AbortController().signal;

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

const edge = openEdgeClient({
  url: setting("LLM_OS_EDGE_URL"),
  secret: setting("LLM_OS_CALLBACK_SECRET"),
  wallClock: Date.now,
});
const worker = setting("LLM_OS_WORKER_ID");
const queue = openSqsQueue({
  url: setting("SQS_QUEUE_URL"),
  endpoint: setting("SQS_ENDPOINT"),
  region: setting("AWS_REGION"),
  waitSeconds: 1,
  credentials: {
    accessKeyId: setting("AWS_ACCESS_KEY_ID"),
    secretAccessKey: setting("AWS_SECRET_ACCESS_KEY"),
  },
});
const metrics = createMetrics();

const reporter = new ComputationReporter({
  edge,
  worker,
  backoff,
  log,
  now: () => performance.now(),
  onCancelled: (ids) => consumer.cancel(ids),
  onPost: () => {},
  signal,
});

const consumer: MessageConsumer = new MessageConsumer({
  executor: { execute: write },
  reporter,
  messages: new HeldMessages({
    queue,
    backoff,
    gatherMs: 100,
    now: () => performance.now(),
    log,
    onError: () => {},
  }),
  metrics,
  log,
  wallClock: Date.now,
  onEnd: () => poller.wake(),
  isDeviceFault: () => false,
});

const poller = new Poller({
  queue,
  pollsMax: 4,
  backoff,
  log,
  capacity: () => computationsMax - consumer.size,
  onMessages: (messages) => consumer.accept(messages),
  onError: () => {},
});

/** Resolves at the next multiple of the pace, on a clock that all streams share. */
function nextStep({ everyMs, offsetMs }: ScriptPrompt, abort: AbortSignal): Promise<void> {
  const now = performance.now() - offsetMs;
  // A timer may be a little early.
  const wait = (Math.round(now / everyMs) + 1) * everyMs - now;
  return new Promise((resolve, reject) => {
    const give = () => {
      clearTimeout(timer);
      reject(abort.reason);
    };
    const timer = setTimeout(() => {
      abort.removeEventListener("abort", give);
      resolve();
    }, wait);
    abort.addEventListener("abort", give, { once: true });
  });
}

/** A prompt, or what was said last. */
function scriptIn({ task, inputs }: JobMessage): string {
  const [input] = Array.isArray(inputs) ? inputs : [];
  if (task === "text-generation") return String(input);
  const said = z.object({ messages: z.array(z.object({ content: z.string() })) }).parse(input);
  return said.messages.at(-1)?.content ?? "";
}

async function write(
  message: JobMessage,
  { signal: abort, onRun }: ExecuteOptions,
): Promise<ComputationResult> {
  const { id, digest } = scriptedModel;
  const prompt = ScriptPrompt.parse(JSON.parse(scriptIn(message)));
  const { id: jobId, tenant, requestKey, shard } = message;
  // Past what is reported of its start.
  const sequence = Date.now() + 10;
  let text = "";
  onRun(1);
  for (let index = 0; index < prompt.tokens; index += 1) {
    await nextStep(prompt, abort);
    const said = tokenText(prompt, index);
    const last = index === prompt.tokens - 1 ? { finishReason: "length" as const } : {};
    const piece = {
      input: 0,
      choice: 0,
      from: index,
      tokens: 1,
      textFrom: text.length,
      text: said,
    };
    if (message.stream === true) {
      reporter.stream(shard, {
        type: "tokens",
        jobId,
        sequence: sequence + index,
        tenant,
        requestKey,
        model: id,
        modelDigest: digest,
        pieces: [{ ...piece, ...last }],
      });
    }
    text += said;
  }
  const usage = { promptTokens: 1, completionTokens: prompt.tokens };
  const choice = { text, finish_reason: "length", tokens: prompt.tokens, logprobs: null };
  const result = resultDocument({
    task: message.task,
    model: id,
    modelDigest: digest,
    outputs: [{ choices: [choice] }],
    usage,
    warnings: [],
  });
  return { modelDigest: digest, usage, result, models: [{ id, digest }] };
}

const state: ModelState = {
  id: scriptedModel.id,
  aliases: [],
  tasks: ["text-generation", "chat-completion"],
  status: "available",
  progress: null,
  reason: null,
  loaded: true,
  digest: scriptedModel.digest,
  sizeBytes: 1,
  limits: { maxTokens: 100_000, dimensions: null, vocabularySize: 1_000 },
  licence: "none",
};

const announcer = new Announcer({
  edge,
  worker,
  models: () => [state],
  intervalMs: limits.workerAnnounceSeconds * 1_000,
  gatherMs: 200,
  log,
});
void announcer.run(signal);
poller.start();
onLauncherGone(() => process.exit(0));
tellLauncher({ type: "ready" });
