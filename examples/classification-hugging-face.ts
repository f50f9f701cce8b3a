/**
 * Are these reviews kind? The official Hugging Face client on a running stack, with a classifier that is there at once.
 */
import process from "node:process";
import { InferenceClient } from "@huggingface/inference";

const url = process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787";
const client = new InferenceClient().endpoint(`${url}/hf/models/sentiment-en`);

const reviews = [
  "An absolute delight from the first minute to the last.",
  "Two hours of tedium that nobody should have to sit through.",
];
for (const inputs of reviews) {
  const [best] = await client.textClassification({ inputs });
  console.log(`${best?.label} ${(best?.score ?? 0).toFixed(2)} ${inputs}`);
}
