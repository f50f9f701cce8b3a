/** Chat templates against transformers' apply_chat_template: see made/chat/make_chats.py. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Chat,
  type ChatMessage,
  type ChatTool,
  ChatRefused,
  type ChatRenderer,
  ChatTemplateError,
  openChatRenderer,
} from "../../gpu-worker/tokenizer/chat-template.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";

type Row = {
  template: string;
  bosToken: string;
  eosToken: string;
  messages: ChatMessage[];
  tools?: ChatTool[];
  addGenerationPrompt: boolean;
  prompt?: string;
  refused?: string;
};

const made = path.join(import.meta.dirname, "made/chat");
const rows: Row[] = JSON.parse(readFileSync(path.join(made, "chats.json"), "utf8"));
const families = [...new Set(rows.map(({ template }) => template))];
const now = () => Date.UTC(2026, 2, 5, 7, 8, 9);
const { signal } = new AbortController();
const limits = { milliseconds: 400, memoryMiB: 64, lengthMax: 10_000 };

let renderer: ChatRenderer;
beforeAll(() => {
  renderer = openChatRenderer({ lengthMax: limits.lengthMax, milliseconds: 10_000 }, now);
});
afterAll(() => renderer.close());

function chat(template: string, content: ChatMessage["content"] = "hi"): Chat {
  const messages = [{ role: "user", content }];
  return { template, messages, addGenerationPrompt: true, bosToken: "<s>", eosToken: "</s>" };
}

async function answer(row: Row): Promise<string> {
  const template = readFileSync(path.join(made, `${row.template}.jinja`), "utf8");
  try {
    return await renderer.render({ ...row, template }, signal);
  } catch (error) {
    if (error instanceof ChatRefused) return `refused: ${error.message}`;
    throw error;
  }
}

describe.each(families)("the template of %s", (family) => {
  it("makes the prompts that transformers makes, and refuses what it refuses, in its words", async () => {
    const own = rows.filter(({ template }) => template === family);
    const expected = own.map(({ prompt, refused }) => prompt ?? `refused: ${refused}`);
    expect(await Promise.all(own.map(answer))).toEqual(expected);
  });
});

describe("a chat template", () => {
  it("gets parts of text as lines of one text", async () => {
    const parts = [{ text: "one" }, { text: "two" }];
    const template = "{{ bos_token }}{{ messages[0].content | upper }}{{ eos_token }}";
    expect(await renderer.render(chat(template, parts), signal)).toBe("<s>ONE\nTWO</s>");
  });

  it("gets the date in English and UTC", async () => {
    const template = "{{ strftime_now('%A %a %d %B %b %Y %y-%m %H:%M:%S 100%%') }}";
    const expected = "Thursday Thu 05 March Mar 2026 26-03 07:08:09 100%";
    expect(await renderer.render(chat(template), signal)).toBe(expected);
    const unknown = renderer.render(chat("{{ strftime_now('%Q') }}"), signal);
    await expect(unknown).rejects.toThrow(/does not know %Q/);
  });

  it("counts as Python's range", async () => {
    const ranges = ["range(3)", "range(1, 4)", "range(5, 0, -2)", "range(4, 1)"];
    const template = ranges.map((range) => `{{ ${range} | join(' ') }}`).join("|");
    expect(await renderer.render(chat(template), signal)).toBe("0 1 2|1 2 3|5 3 1|");
  });

  it("does not read what a message says as a template", async () => {
    const content = "{{ bos_token }}{% raw %}";
    expect(await renderer.render(chat("{{ messages[0].content }}", content), signal)).toBe(content);
  });

  it("that is broken says so, without blame for the caller", async () => {
    for (const template of ["{% if %}", "{{ nothing() }}", "{{ range(0, 1, 0) }}"]) {
      const error = renderer.render(chat(template), signal);
      await expect(error).rejects.toThrow(ChatTemplateError);
      await expect(error).rejects.toThrow(/^the model's chat template failed: .*Error/);
    }
  });

  it("repeats only the start of a long message when it refuses it", async () => {
    const template = "{{ raise_exception(messages[0].content) }}";
    const error = renderer.render(chat(template, "x".repeat(5_000)), signal);
    await expect(error).rejects.toThrow(new ChatRefused("x".repeat(1_000)));
  });
});

const doubled = (times: number) =>
  `{% set ns = namespace(x='abcdefgh') %}{% for i in range(${times}) %}` +
  "{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
const manyTimes = "{% for a in range(100000) %}";

describe("a hostile chat template", () => {
  it.each([
    [
      "loops for ever",
      `${manyTimes}${manyTimes}{% endfor %}{% endfor %}`,
      /more than 400 ms or 64 MiB/,
    ],
    ["makes a long range", "{{ range(1000000000) }}", /range\(\) is of more than 100000 numbers/],
    ["makes a long prompt", `${doubled(11)}{{ ns.x }}`, /more than 10000 units/],
    ["makes a text past all bounds", `${doubled(40)}{{ ns.x }}`, /Invalid string length/],
    ["fills the memory with a text", `${doubled(25)}{{ ns.x | upper }}`, /400 ms or 64 MiB/],
    [
      "fills the memory with a list",
      "{% set ns = namespace(x=[1, 2]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      /400 ms or 64 MiB/,
    ],
    ["is nested deeply", `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`, /call stack/],
    ["reaches for the renderer", "{{ range.constructor('return process')() }}", /not a function/],
  ])("that %s ends, and the next call is answered", async (_, template, message) => {
    const bounded = openChatRenderer(limits, now);
    const calls = [template, "{{ messages[0].content }}"].map((each) =>
      bounded.render(chat(each), signal),
    );
    const [first, second] = await Promise.allSettled(calls);
    expect(first).toMatchObject({
      status: "rejected",
      reason: { message: expect.stringMatching(message) },
    });
    expect(first).toHaveProperty("reason", expect.any(ChatTemplateError));
    expect(second).toEqual({ status: "fulfilled", value: "hi" });
    await bounded.close();
  });
});

function reasonOf(call: Promise<string>): Promise<string> {
  return call.catch((error: Error) => error.message);
}

describe("the process that renders", () => {
  it("does not keep a caller who leaves waiting", async () => {
    const bounded = openChatRenderer(limits, now);
    const slow = reasonOf(
      bounded.render(chat(`${manyTimes}${manyTimes}{% endfor %}{% endfor %}`), signal),
    );
    const leaving = new AbortController();
    const left = reasonOf(bounded.render(chat("{{ bos_token }}"), leaving.signal));
    leaving.abort(new Error("gone"));
    expect(await Promise.race([slow, left])).toBe("gone");
    expect(await slow).toMatch(/more than 400 ms/);
    await bounded.close();
  });

  it("ends by itself where a template loops for ever and nobody ends it", async () => {
    const file = new URL("../../gpu-worker/tokenizer/template-process.ts", import.meta.url);
    const child = fork(file, { execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const template = `${manyTimes}${manyTimes}{% endfor %}{% endfor %}`;
    child.send({ ...chat(template), now: 0, lengthMax: 100, millisecondsMax: 200 });
    expect(await once(child, "exit")).toEqual([1, null]);
  });

  it("is started again where it ended between two calls", async () => {
    const again = openChatRenderer(limits, now);
    const call = chat("{{ bos_token }}");
    expect(await again.render(call, signal)).toBe("<s>");
    await again.close();
    expect(await again.render(call, signal)).toBe("<s>");
    await again.close();
  });
});

const models = path.resolve(import.meta.dirname, "../../../shared/models");
const smollm2 = path.join(models, "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
const present = existsSync(smollm2);
if (!present) console.info("Skipped: SmolLM2 in ../shared/models, which is not on this machine");

describe.skipIf(!present)("SmolLM2's own template", () => {
  it("makes the reference prompts", async () => {
    const file = path.join(models, "references/smollm2-logits.json");
    const chats: { messages: ChatMessage[]; prompt: string }[] = JSON.parse(
      readFileSync(file, "utf8"),
    );
    const template = openGgufCheckpoint(smollm2).tokenizer?.chat_template ?? "";
    const prompts = chats.map(({ messages }) =>
      renderer.render({ ...chat(template), messages }, signal),
    );
    expect(await Promise.all(prompts)).toEqual(chats.map(({ prompt }) => prompt));
  });
});
