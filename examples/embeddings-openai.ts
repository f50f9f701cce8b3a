/** Which of two sentences means more like a third? The official OpenAI client on a running stack. */
import process from "node:process";
import OpenAI from "openai";

const client = new OpenAI({
  apiKey: "anonymous",
  baseURL: `${process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787"}/v1`,
});

const { data } = await client.embeddings.create({
  model: "all-MiniLM-L6-v2",
  input: ["How do I reset my password?", "I forgot my login", "The weather is nice today"],
});
const [question = [], login = [], weather = []] = data.map(({ embedding }) => embedding);

/** The model's vectors have length 1, so the cosine is the dot product. */
function cosine(a: number[], b: number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

console.log(`login   ${cosine(question, login).toFixed(2)}`);
console.log(`weather ${cosine(question, weather).toFixed(2)}`);
