/** The demo's requests: one of each kind, each checked, each telling in a line or two what came. */
import { setTimeout as delay } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import * as z from "zod";
import { type ApiClient, expectBody, expectTrue } from "./api-client.ts";
import { chat } from "./chat-step.ts";
import { type DemoStep, origin } from "./demo-step.ts";
import { taskSteps } from "./task-steps.ts";
import { cosine, decodeVector, preview } from "./vectors.ts";

const model = "all-MiniLM-L6-v2";
const dimensions = 384;
const jobTimeoutMs = 30_000;

const Vector = z.array(z.number()).length(dimensions);
const usage = z.looseObject({ prompt_tokens: z.int().positive() });
const FloatEmbeddings = z.looseObject({
  data: z.array(z.looseObject({ embedding: Vector })),
  usage,
});
const Base64Embeddings = z.looseObject({
  data: z.array(z.looseObject({ embedding: z.string() })),
  usage,
});
const Models = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      status: z.string(),
      loaded: z.boolean(),
      base_model: z.string().optional(),
    }),
  ),
});
const Job = z.looseObject({ id: z.string(), status: z.string(), output: z.unknown() });
const WebhookBody = z.looseObject({ type: z.string(), data: Job });

function texts(salt: string): [string, string, string] {
  return [`A cat sleeps on the sofa (${salt})`, `A kitten naps on the couch (${salt})`, "Tax law"];
}

const models: DemoStep = {
  name: "GET /v1/models",
  run: async ({ api }) => {
    const { data } = expectBody(await api.get("/v1/models"), Models);
    expectTrue(
      data.some(({ id, loaded }) => id === model && loaded),
      `${model} is not loaded`,
    );
    const own = data.filter(({ base_model: base }) => base === undefined);
    return own.map(({ id, status, loaded }) => `${id}: ${status}${loaded ? ", loaded" : ""}`);
  },
};

const floats: DemoStep = {
  name: "POST /v1/embeddings, numbers",
  run: async ({ api, salt }) => {
    const reply = await api.post("/v1/embeddings", { model, input: texts(salt) });
    const { data, usage: used } = expectBody(reply, FloatEmbeddings);
    const [cat = [], kitten = [], law = []] = data.map(({ embedding }) => embedding);
    expectTrue(cosine(cat, kitten) > cosine(cat, law) + 0.2, "a kitten is not nearer than tax law");
    return [
      preview(cat),
      `cat · kitten ${cosine(cat, kitten).toFixed(3)}, cat · tax law ${cosine(cat, law).toFixed(3)}`,
      `${used.prompt_tokens} tokens, ${origin(reply)}`,
    ];
  },
};

const base64: DemoStep = {
  name: "POST /v1/embeddings, base64: the same vectors, from the cache",
  run: async ({ api, salt }) => {
    const input = texts(salt);
    const asNumbers = expectBody(
      await api.post("/v1/embeddings", { model, input }),
      FloatEmbeddings,
    );
    const reply = await api.post("/v1/embeddings", { model, input, encoding_format: "base64" });
    const decoded = expectBody(reply, Base64Embeddings).data.map(({ embedding }) =>
      decodeVector(embedding),
    );
    const worst = Math.min(
      ...decoded.map((vector, i) => cosine(vector, asNumbers.data[i]?.embedding ?? [])),
    );
    expectTrue(decoded.length === input.length && worst > 0.999_999, "the encodings differ");
    expectTrue(reply.headers.get("x-cache") === "hit", "it was computed again");
    return [`${decoded.length} vectors, equal to the numbers; ${origin(reply)}`];
  },
};

const features: DemoStep = {
  name: `POST /hf/models/${model}, feature extraction`,
  run: async ({ api, salt }) => {
    const inputs = [`Hugging Face style (${salt})`, "a second text"];
    const reply = await api.post(`/hf/models/${model}/pipeline/feature-extraction`, { inputs });
    const vectors = expectBody(reply, z.array(Vector).length(inputs.length));
    return [preview(vectors[0] ?? []), origin(reply)];
  },
};

const similarity: DemoStep = {
  name: `POST /hf/models/${model}, sentence similarity`,
  run: async ({ api, salt }) => {
    const [source_sentence, near, far] = texts(salt);
    const path = `/hf/models/${model}/pipeline/sentence-similarity`;
    const reply = await api.post(path, { inputs: { source_sentence, sentences: [near, far] } });
    const [first = 0, second = 0] = expectBody(reply, z.array(z.number()).length(2));
    expectTrue(first > second + 0.2, "the nearer sentence scored lower");
    return [`[${first.toFixed(3)}, ${second.toFixed(3)}], ${origin(reply)}`];
  },
};

const asynchronous: DemoStep = {
  name: "Prefer: respond-async, then GET /v1/jobs/{id}",
  run: async ({ api, salt }) => {
    const body = { model, input: `Later, please (${salt})` };
    const accepted = await api.post("/v1/embeddings", body, { prefer: "respond-async" });
    const { id } = expectBody(accepted, Job, 202);
    const job = await finishedJob(api, id);
    const [row] = FloatEmbeddings.parse(job.output).data;
    return [`202 ${id}`, `${job.status}: ${preview(row?.embedding ?? [])}`];
  },
};

async function finishedJob(api: ApiClient, id: string): Promise<z.infer<typeof Job>> {
  const deadline = performance.now() + jobTimeoutMs;
  while (performance.now() < deadline) {
    const job = expectBody(await api.get(`/v1/jobs/${id}`), Job);
    if (job.status === "succeeded") return job;
    expectTrue(!["failed", "canceled"].includes(job.status), `the job ${job.status}`);
    await delay(50);
  }
  throw new Error(`the job did not finish within ${jobTimeoutMs} ms`);
}

const webhook: DemoStep = {
  name: "an asynchronous job that calls back",
  run: async ({ api, receiver, salt }) => {
    if (receiver === null) {
      return [
        "not shown: the stack that runs may not call this process (LLM_OS_WEBHOOK_ALLOW); " +
          "stop it, and the demo starts its own",
      ];
    }
    const secret = `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("base64")}`;
    const accepted = await api.post(
      "/v1/embeddings",
      {
        model,
        input: `Call me back (${salt})`,
        webhook: receiver.url,
        webhook_secret: secret,
        webhook_events_filter: ["completed"],
      },
      { prefer: "respond-async" },
    );
    const { id } = expectBody(accepted, Job, 202);
    const { headers, body } = await receiver.next(jobTimeoutMs);
    const { type, data } = WebhookBody.parse(new Webhook(secret).verify(body, headers));
    expectTrue(data.id === id && data.status === "succeeded", "another job, or no success");
    return [`${type} of ${data.id}: ${data.status}, signature verified`];
  },
};

export const demoSteps: readonly DemoStep[] = [
  models,
  floats,
  base64,
  features,
  similarity,
  ...taskSteps,
  chat,
  asynchronous,
  webhook,
];
