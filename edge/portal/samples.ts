/**
 * The requests that the welcome page offers to copy, for the address it is shown at, and what the first of them is
 * answered.
 */

/** One request in the three languages, each with the official client or none. */
export type Sample = { curl: string; python: string; javaScript: string };

/** Ships with the worker, so that it is there whatever else is. */
const model = "all-MiniLM-L6-v2";

/** The page's first request. test/e2e/welcome-samples.test.ts has a running stack answer it. */
export const firstRequest = {
  path: `/hf/models/${model}`,
  body: {
    inputs: "My order never came.",
    parameters: { candidate_labels: ["billing", "delivery", "praise"] },
  },
  /** As a stack answered it; the scores are rounded. */
  answer: [
    { label: "delivery", score: 0.936 },
    { label: "billing", score: 0.043 },
    { label: "praise", score: 0.022 },
  ],
} as const;

export function firstSample(url: string): Sample {
  const { path, body } = firstRequest;
  const labels = JSON.stringify(body.parameters.candidate_labels).replaceAll(",", ", ");
  return {
    curl: `curl ${url}${path} \\
  -H 'content-type: application/json' \\
  -d '{
    "inputs": "${body.inputs}",
    "parameters": {"candidate_labels":
      ${labels}}
  }'`,
    python: `# pip install huggingface_hub
from huggingface_hub import InferenceClient

client = InferenceClient("${url}${path}")
print(client.zero_shot_classification(
    "${body.inputs}",
    ${labels},
))`,
    javaScript: `// npm install @huggingface/inference
import { InferenceClient } from "@huggingface/inference";

const client = new InferenceClient();
console.log(await client.zeroShotClassification({
  endpointUrl: "${url}${path}",
  inputs: "${body.inputs}",
  parameters: { candidate_labels: ${labels} },
}));`,
  };
}

/** Fetched when the worker starts. */
const chatModel = "SmolLM2-135M-Instruct";

export function chatSample(url: string): Sample {
  const question = "What is the capital of France? Answer in one sentence.";
  return {
    curl: `curl ${url}/v1/chat/completions \\
  -H 'content-type: application/json' \\
  -d '{"model": "${chatModel}", "messages": [
    {"role": "user", "content": "${question}"}]}'`,
    python: `# pip install openai
from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key="anonymous")
stream = client.chat.completions.create(
    model="${chatModel}",
    messages=[{"role": "user", "content": "${question}"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")`,
    javaScript: `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "anonymous" });
const stream = await client.chat.completions.create({
  model: "${chatModel}",
  messages: [{ role: "user", content: "${question}" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? "");`,
  };
}

export function embeddingsSample(url: string): Sample {
  return {
    curl: `curl ${url}/v1/embeddings \\
  -H 'content-type: application/json' \\
  -d '{"model": "${model}", "input": "The sun rises in the east."}'`,
    python: `# pip install openai
from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key="anonymous")
answer = client.embeddings.create(model="${model}", input=["a cat", "a kitten"])
print(len(answer.data[0].embedding))`,
    javaScript: `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "anonymous" });
const answer = await client.embeddings.create({ model: "${model}", input: ["a cat", "a kitten"] });
console.log(answer.data[0].embedding.length);`,
  };
}
