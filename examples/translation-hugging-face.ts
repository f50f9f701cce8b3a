/** Prompts of the platform are models: a translation by Hugging Face's own client on a running stack. */
import process from "node:process";
import { InferenceClient } from "@huggingface/inference";

const url = process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787";
const client = new InferenceClient("anonymous").endpoint(`${url}/hf/models/translate-en-fr`);

const answer = await client.translation({
  inputs: "The cat sleeps.",
  parameters: { generate_parameters: { max_new_tokens: 20 } },
});

for (const { translation_text: text } of [answer].flat()) console.log(`French: ${text}`);
