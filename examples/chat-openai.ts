/** A conversation, shown as it is written. The official OpenAI client on a running stack. */
import process from "node:process";
import OpenAI from "openai";

const client = new OpenAI({
  apiKey: "anonymous",
  baseURL: `${process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787"}/v1`,
});

const stream = await client.chat.completions.create({
  model: "SmolLM2-135M-Instruct",
  messages: [
    { role: "system", content: "You answer in one sentence." },
    { role: "user", content: "Why is the sky blue?" },
  ],
  temperature: 0,
  max_tokens: 60,
  stream: true,
});

for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? "");
console.log();
