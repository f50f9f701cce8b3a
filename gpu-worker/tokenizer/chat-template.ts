/**
 * A conversation as the prompt that its model was trained on, by the checkpoint's own template, in Jinja: Hugging
 * Face's renderer for JavaScript, which knows what templates use of Jinja and nothing else (no files, no imports).
 *
 * A checkpoint's template is a program of someone else's, and the renderer bounds neither time nor memory. So one
 * process of its own renders, one call after the other, those who ask in turn. What takes too long or too much ends
 * with it, and the next call starts another. A thread does not do: one string of a few hundred megabytes beyond its
 * limit ends the whole process.
 */
import { type ChildProcess, fork } from "node:child_process";
import { FairTurns } from "../event-loop/fair-turns.ts";
import { orAborted } from "../event-loop/or-aborted.ts";
import type { RenderCall, Rendered } from "./render-template.ts";

export type ChatMessage = {
  role: string;
  /** Parts of text are put together line by line, as vLLM and llama.cpp do: most templates take only a text. */
  content: string | readonly { text: string }[];
  /** What follows stands where it was said alone: templates ask whether it is there. */
  name?: string;
  tool_calls?: readonly ChatToolCall[];
  tool_call_id?: string;
};

/** As transformers gives them to templates; arguments are an object, or a text that is none. */
export type ChatToolCall = {
  id: string;
  type: "function";
  function: { name: string; arguments: unknown };
};
export type ChatTool = {
  type: "function";
  function: { name: string; description?: string; parameters: unknown };
};

export type Chat = {
  template: string;
  messages: readonly ChatMessage[];
  /** Absent: none. */
  tools?: readonly ChatTool[];
  /** Whether the prompt ends where the assistant's answer begins. */
  addGenerationPrompt: boolean;
  /** Empty: the model has none. */
  bosToken: string;
  eosToken: string;
};

/** The template does not take this conversation: `message` is what it says of it. The caller's fault. */
export class ChatRefused extends Error {}

/** The template is broken, or takes too much. */
export class ChatTemplateError extends Error {}

export type ChatRenderer = {
  /** @param asker whose turn it takes @throws ChatRefused; ChatTemplateError; the signal's reason */
  render(chat: Chat, signal: AbortSignal, asker?: string): Promise<string>;
  close(): Promise<void>;
};

export type ChatRendererLimits = {
  /** Of one call, once the process runs. Default 2 seconds. */
  milliseconds: number;
  /** Of the objects of the process that renders. Default 256 MiB. */
  memoryMiB: number;
  /** Of a prompt, in UTF-16 units. Default 16 Mi. */
  lengthMax: number;
};

const defaults: ChatRendererLimits = { milliseconds: 2_000, memoryMiB: 256, lengthMax: 2 ** 24 };

const startMillisecondsMax = 10_000;

const nothing: RenderCall = {
  template: "",
  messages: [],
  tools: null,
  addGenerationPrompt: false,
  bosToken: "",
  eosToken: "",
  now: 0,
  lengthMax: 0,
  millisecondsMax: startMillisecondsMax,
};

function textOf({ content }: ChatMessage): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

/** @param now milliseconds since 1970, which templates may write into a prompt */
export function openChatRenderer(
  limits: Partial<ChatRendererLimits> = {},
  now: () => number = Date.now,
): ChatRenderer {
  const { milliseconds, memoryMiB, lengthMax } = { ...defaults, ...limits };
  let child: ChildProcess | null = null;
  const turns = new FairTurns<string>();
  const pending = new Set<Promise<unknown>>();

  function end(): void {
    child?.kill("SIGKILL");
    child = null;
  }

  async function running(): Promise<ChildProcess> {
    if (child?.connected) return child;
    child = startProcess(memoryMiB);
    // Its start is not on the template's time.
    await answerOf(child, nothing);
    return child;
  }

  async function renderNow(call: RenderCall): Promise<Rendered> {
    const rendered = await answerOf(await running(), call);
    if (rendered !== null) return rendered;
    end();
    const reason = `it took more than ${milliseconds} ms or ${memoryMiB} MiB`;
    return { kind: "failed", reason };
  }

  return {
    async render({ messages, tools = [], ...chat }, signal, asker = "") {
      const texts = messages.map((message) => ({ ...message, content: textOf(message) }));
      const turn = turns.run(asker, async () => {
        signal.throwIfAborted();
        return renderNow({
          ...chat,
          messages: texts,
          tools: tools.length === 0 ? null : tools,
          now: now(),
          lengthMax,
          millisecondsMax: milliseconds,
        });
      });
      pending.add(turn);
      const ended = () => pending.delete(turn);
      turn.then(ended, ended);
      const rendered = await orAborted(turn, signal);
      if (rendered.kind === "rendered") return rendered.prompt;
      if (rendered.kind === "refused") throw new ChatRefused(rendered.reason);
      throw new ChatTemplateError(`the model's chat template failed: ${rendered.reason}`);
    },
    async close() {
      await Promise.allSettled(pending);
      end();
    },
  };
}

/** Null: it ended first, or took too long. */
async function answerOf(child: ChildProcess, call: RenderCall): Promise<Rendered | null> {
  const { promise, resolve } = Promise.withResolvers<Rendered | null>();
  const giveUp = () => resolve(null);
  const timer = setTimeout(giveUp, call.millisecondsMax);
  child.once("message", (rendered: Rendered) => resolve(rendered));
  child.once("exit", giveUp);
  child.send(call, (error) => error && giveUp());
  child.channel?.ref();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    child.removeAllListeners("message").removeAllListeners("exit");
    child.channel?.unref();
  }
}

/** It gets nothing of this process's environment, and its last words of memory are of no use to anybody. */
function startProcess(memoryMiB: number): ChildProcess {
  const child = fork(new URL("template-process.ts", import.meta.url), {
    env: {},
    execArgv: [`--max-old-space-size=${memoryMiB}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  child.on("error", () => child.kill("SIGKILL"));
  child.unref();
  return child;
}
