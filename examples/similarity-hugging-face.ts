/** Ranks sentences by their likeness to one: the official Hugging Face client on a running stack. */
import process from "node:process";
import { InferenceClient } from "@huggingface/inference";

const url = process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787";
const client = new InferenceClient().endpoint(`${url}/hf/models/all-MiniLM-L6-v2`);

const sentences = ["I forgot my login", "The weather is nice today"];
const scores = await client.sentenceSimilarity({
  inputs: { source_sentence: "How do I reset my password?", sentences },
});
for (const [i, sentence] of sentences.entries()) {
  console.log(`${(scores[i] ?? 0).toFixed(2)} ${sentence}`);
}
