/** The requests the welcome page offers to copy, for the address it is shown at. */
export type Sample = { title: string; code: string };

export function samples(url: string, model: string): Sample[] {
  return [
    { title: "curl", code: curlSample(url, model) },
    { title: "Python, openai", code: pythonSample(url, model) },
    { title: "JavaScript, openai", code: javaScriptSample(url, model) },
    { title: "JavaScript, @huggingface/inference", code: huggingFaceSample(url, model) },
    { title: "Labels without examples", code: zeroShotSample(url, model) },
    { title: "Asynchronous", code: asyncSample(url, model) },
  ];
}

function curlSample(url: string, model: string): string {
  return `curl ${url}/v1/embeddings \\
  -H 'content-type: application/json' \\
  -d '{"model": "${model}", "input": "The sun rises in the east."}'`;
}

function pythonSample(url: string, model: string): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key="anonymous")
answer = client.embeddings.create(model="${model}", input=["one", "two"])
print(len(answer.data[0].embedding))`;
}

function javaScriptSample(url: string, model: string): string {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "anonymous" });
const answer = await client.embeddings.create({ model: "${model}", input: ["one", "two"] });
console.log(answer.data[0].embedding.length);`;
}

function huggingFaceSample(url: string, model: string): string {
  return `import { InferenceClient } from "@huggingface/inference";

const client = new InferenceClient();
console.log(await client.sentenceSimilarity({
  endpointUrl: "${url}/hf/models/${model}/pipeline/sentence-similarity",
  inputs: { source_sentence: "A cat sleeps.", sentences: ["A kitten naps.", "Stocks fell."] },
}));`;
}

function zeroShotSample(url: string, model: string): string {
  return `curl ${url}/v1/tasks/zero-shot-classification \\
  -H 'content-type: application/json' \\
  -d '{"model": "${model}", "inputs": ["The striker scored twice."],
       "parameters": {"candidate_labels": ["cooking", "football", "tax law"]}}'`;
}

function asyncSample(url: string, model: string): string {
  return `curl -i ${url}/v1/embeddings -H 'prefer: respond-async' \\
  -H 'content-type: application/json' \\
  -d '{"model": "${model}", "input": ["later", "please"]}'
# 202 with Location: /v1/jobs/{id}; then
curl ${url}/v1/jobs/{id}`;
}
