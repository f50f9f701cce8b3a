/** Answers that have a structure, from OpenAI's client to the model and back. */
import OpenAI, { BadRequestError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { noSchemas, wrongBy } from "../../openai-schema.ts";
import { isLarge, model } from "../chat-model.ts";
import { type Running } from "./chat-truth.ts";

const Person = z.object({
  name: z.string().max(20),
  age: z.int().min(0).max(130),
  colours: z.array(z.enum(["red", "green", "blue"])).max(3),
  partner: z.string().max(20).nullable(),
});
const messages = [{ role: "user" as const, content: "Describe a person as JSON." }];
const asked = { model, messages, temperature: 1.2, max_tokens: 200 };

export function describeStructure(running: Running): void {
  const client = () =>
    new OpenAI({
      apiKey: running().operatorKey,
      baseURL: `${running().url}/v1`,
      maxRetries: 0,
    });

  describe.skipIf(!isLarge)("a structure", () => {
    it("of zod is parsed by OpenAI's client, every choice of it", async () => {
      const response_format = zodResponseFormat(Person, "person");
      const whole = await client().chat.completions.create({ ...asked, seed: 1, response_format });
      if (noSchemas === null) expect(wrongBy("CreateChatCompletionResponse", whole)).toEqual([]);
      const answer = await client().chat.completions.parse({
        ...asked,
        n: 4,
        seed: 1,
        response_format,
      });
      for (const { message } of answer.choices)
        expect(() => Person.parse(message.parsed)).not.toThrow();
      const { usage } = answer;
      expect(usage?.completion_tokens_details).toMatchObject({ forced_tokens: expect.any(Number) });
    });

    it("is kept to in a stream, whose last chunk tells the forced tokens", async () => {
      const stream = await client().chat.completions.create({
        ...asked,
        seed: 2,
        response_format: zodResponseFormat(Person, "person"),
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
      expect(() => Person.parse(JSON.parse(text))).not.toThrow();
      expect(usage?.completion_tokens_details).toHaveProperty("forced_tokens");
    });

    it.each([
      [{ regex: "\\d{3}-\\d{4}" }, /^\d{3}-\d{4}$/],
      [{ choice: ["yes", "no"] }, /^(?:yes|no)$/],
      [{ grammar: 'root ::= "(" [a-z]{2,5} ")"' }, /^\([a-z]{2,5}\)$/],
    ])("is as vLLM words it: %j", async (structured_outputs, pattern) => {
      const body = { ...asked, seed: 3, structured_outputs };
      const answer = await client().chat.completions.create(body);
      expect(answer.choices[0]?.message.content).toMatch(pattern);
      expect(answer.choices[0]?.finish_reason).toBe("stop");
    });

    it("comes to its end within the tokens that it may have", async () => {
      const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
      const structured_outputs = { json: schema };
      for (const max_tokens of [12, 16, 24]) {
        const body = { ...asked, max_tokens, seed: max_tokens, structured_outputs };
        const answer = await client().chat.completions.create(body);
        expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toHaveProperty("a");
        expect(answer.usage?.completion_tokens).toBeLessThanOrEqual(max_tokens);
      }
      const tooFew = client().chat.completions.create({
        ...asked,
        max_tokens: 2,
        structured_outputs,
      } as never);
      await expect(tooFew).rejects.toThrow(/max_tokens to \d+ or more/);
    });

    it("that cannot be kept to is refused, in a stream too, by its place", async () => {
      const json_schema = { name: "a", schema: { type: "array", uniqueItems: true } };
      const response_format = { type: "json_schema" as const, json_schema };
      for (const stream of [false, true]) {
        const refused = client()
          .chat.completions.create({ ...asked, response_format, stream })
          .then(async (answer) => {
            // oxlint-disable-next-line no-empty -- the error comes with the first event
            if ("controller" in answer)
              for await (const _ of answer) {
              }
          });
        await expect(refused).rejects.toMatchObject({
          code: "invalid_json_schema",
          param: "response_format.json_schema.schema",
        });
        if (!stream) await expect(refused).rejects.toBeInstanceOf(BadRequestError);
      }
    });
  });
}
