/** Prompts on the whole stack: by Hugging Face's client, by OpenAI's, and judged as a job. */
import { InferenceClient } from "@huggingface/inference";
import OpenAI from "openai";
import { describe, expect, it, vi } from "vitest";
import type { PromptReport } from "../../../contract/prompts/prompt-report.ts";
import { isLarge, model } from "../chat-model.ts";
import { randomWriter } from "../random-decoders.ts";
import { type Running } from "./chat-truth.ts";

type Job = { id: string; status: string; output: PromptReport | null; error: unknown };

const saying = (content: string) => [{ role: "user" as const, content }];

export function describePrompts(running: Running): void {
  const headers = () => ({
    authorization: `Bearer ${running().operatorKey}`,
    "content-type": "application/json",
  });
  async function send<T>(path: string, body?: object): Promise<{ status: number; answer: T }> {
    const method = body === undefined ? "GET" : "POST";
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${running().url}${path}`, {
      method,
      headers: headers(),
      ...sent,
    });
    const answer = (await response.json()) as T;
    return { status: response.status, answer };
  }
  const endpoint = (path: string) =>
    new InferenceClient(running().operatorKey).endpoint(`${running().url}/hf/models/${path}`);

  const openai = () =>
    new OpenAI({ apiKey: running().operatorKey, baseURL: `${running().url}/v1`, maxRetries: 0 });

  /** What the prompt is answered in a conversation, by OpenAI's client. */
  async function answered(id: string, variables: object): Promise<string> {
    const body = { model, messages: [], prompt: { id, variables }, temperature: 0, max_tokens: 12 };
    const { choices } = await openai().chat.completions.create(body);
    return choices[0]?.message.content?.trim() ?? "";
  }

  describe.skipIf(!isLarge)("a prompt that ships", () => {
    const text = "w5 w6 The council met on Monday.";
    const generate_parameters = { max_new_tokens: 12 };

    it("summarizes and translates for @huggingface/inference, as in a conversation", async () => {
      const summary = await answered("summarize", { text });
      for (const id of ["summarize/pipeline/summarization", `${model}/pipeline/summarization`]) {
        const asked = { inputs: text, parameters: { generate_parameters } };
        expect(await endpoint(id).summarization(asked)).toEqual({ summary_text: summary });
      }
      const inGerman = { source_language: "English", target_language: "German" };
      const translation = await answered("translate", { text, ...inGerman });
      const parameters = { src_lang: "en", tgt_lang: "de", generate_parameters };
      const client = endpoint("translate/pipeline/translation");
      expect(await client.translation({ inputs: text, parameters })).toEqual({
        translation_text: translation,
      });
    });

    it("is written token by token", async () => {
      const parameters = { max_new_tokens: 6, do_sample: false };
      let written = "";
      for await (const { token } of endpoint("chat").textGenerationStream({
        inputs: text,
        parameters,
      }))
        written += token.text;
      const whole = await endpoint("chat").textGeneration({ inputs: text, parameters });
      expect(whole.generated_text).toBe(written);
    });
  });

  describe("a prompt of a key", () => {
    it("is judged on labelled examples as a job, whose report adds up", async () => {
      const labels = ["positive", "negative"];
      const said = [
        { role: "system", content: "Say whether a review is positive or negative." },
        { role: "user", content: "Review: {{text}}" },
      ];
      const made = await send<{ id: string }>("/v1/prompts", {
        name: "mood",
        messages: said,
        model,
      });
      expect(made.status).toBe(200);
      const { id } = made.answer;
      const examples = ["A joy.", "A bore.", "Splendid.", "Awful."].map((text, at) => ({
        variables: { text },
        output: labels[at % 2],
      }));
      // Free text, so that it is the model that says what it says.
      const asked = { examples, labels, constrain: false, parameters: { max_tokens: 3 } };
      const begun = await send<Job>(`/v1/prompts/${id}/evaluate`, asked);
      expect(begun.status).toBe(202);
      const job = await ended(begun.answer.id);
      expect(job, JSON.stringify(job)).toMatchObject({ status: "succeeded" });
      const { figures, cost } = job.output ?? {};
      expect(figures?.examples).toBe(4);
      expect(figures?.accuracy.value).toBe((figures?.right ?? 0) / 4);
      expect(figures?.misses).toHaveLength(4 - (figures?.right ?? 0));
      expect(cost).toMatchObject({ calls: 4 });
      expect(cost?.units).toBe((cost?.prompt_tokens ?? 0) + (cost?.completion_tokens ?? 0));
    });
  });

  describe("a prompt that is improved", () => {
    const wordings = Array.from(
      { length: 12 },
      (_, at) => `${"Say one. ".repeat(at % 3)}${at}: {{text}}`,
    );
    const labels = ["p", "q", "r", "s", "t", "u", "v", "w"];
    const texts = Array.from({ length: 50 }, (_, at) => `text ${at * 37}`);

    async function answer(body: object): Promise<string> {
      const { choices } = await openai().chat.completions.create({
        model: randomWriter,
        messages: [],
        temperature: 0,
        structured_outputs: { choice: labels },
        ...body,
      } as OpenAI.ChatCompletionCreateParamsNonStreaming);
      return choices[0]?.message.content ?? "";
    }

    it("has a version more that is better, and is what OpenAI's client is answered by", async () => {
      const saysTo = (wording: string) =>
        Promise.all(
          texts
            .slice(-8)
            .map((text) => answer({ messages: saying(wording.replace("{{text}}", text)) })),
        );
      const [base = "", other = ""] = wordings;
      const [wanted = ""] = (await saysTo(other)).toSorted();
      expect(await saysTo(base)).not.toContain(wanted);
      const made = await send<{ id: string }>("/v1/prompts", {
        name: "a letter",
        messages: saying(base),
        model: randomWriter,
      });
      const { id } = made.answer;
      const begun = await send<Job>(`/v1/prompts/${id}/evaluate`, {
        examples: texts.map((text) => ({ variables: { text }, output: wanted })),
        labels,
        optimise: true,
        variants: [{ name: "longer", messages: saying(other) }],
      });
      expect(begun.status).toBe(202);
      const { output } = await ended(begun.answer.id);
      expect(output?.optimisation).toMatchObject({ better: true, baseline: { value: 0 } });
      type Evaluations = { data: { status: string; stored_version: number }[] };
      const stored = () => send<Evaluations>(`/v1/prompts/${id}/evaluations`);
      await vi.waitFor(
        async () =>
          expect((await stored()).answer.data).toMatchObject([
            { status: "stored", stored_version: 2 },
          ]),
        { timeout: 120_000, interval: 200 },
      );
      const heldOut = texts.slice(-8);
      const by = (version?: string) =>
        Promise.all(
          heldOut.map((text) =>
            answer({ prompt: { id, variables: { text }, ...(version && { version }) } }),
          ),
        );
      expect(await by("1")).not.toContain(wanted);
      const [newest, second] = [await by(), await by("2")];
      expect(newest).toEqual(second);
      expect(newest.filter((each) => each === wanted).length).toBeGreaterThan(4);
    });
  });

  /** Told by the events of the job, which end with it. */
  async function ended(id: string): Promise<Job> {
    const events = await fetch(`${running().url}/v1/jobs/${id}/events`, { headers: headers() });
    await events.text();
    return (await send<Job>(`/v1/jobs/${id}`)).answer;
  }
}
