/** The demo's requests of tasks beyond vectors: classes, with and without examples of them, ranks, and tokens. */
import * as z from "zod";
import { expectBody, expectTrue } from "./api-client.ts";
import { type DemoStep, origin } from "./demo-step.ts";

const encoder = "all-MiniLM-L6-v2";
const classifier = "sentiment-en";

const Labels = z.array(z.looseObject({ label: z.string(), score: z.number() })).min(1);
const Ranking = z.looseObject({
  results: z.array(z.looseObject({ index: z.int(), relevance_score: z.number() })).min(1),
});
const Tokens = z.looseObject({
  tokens: z.array(z.int()),
  count: z.int().positive(),
  offsets: z.array(z.tuple([z.int(), z.int()])),
});

const classification: DemoStep = {
  name: `POST /hf/models/${classifier}, text classification`,
  run: async ({ api, salt }) => {
    const inputs = `An absolute delight from the first minute to the last (${salt}).`;
    const reply = await api.post(`/hf/models/${classifier}`, { inputs });
    const [labels = []] = expectBody(reply, z.array(Labels).length(1));
    const [best] = labels;
    expectTrue(best?.label === "positive", `a delight was found ${best?.label}`);
    return [listed(labels), origin(reply)];
  },
};

const zeroShot: DemoStep = {
  name: `POST /hf/models/${encoder}, labels without examples`,
  run: async ({ api, salt }) => {
    const reply = await api.post(`/hf/models/${encoder}`, {
      inputs: `The striker scored twice and the cup went home with them (${salt}).`,
      parameters: { candidate_labels: ["cooking", "football", "tax law"] },
    });
    const labels = expectBody(reply, Labels);
    expectTrue(labels[0]?.label === "football", `a goal was found to be ${labels[0]?.label}`);
    return [listed(labels), `by ${reply.headers.get("x-method")}, ${origin(reply)}`];
  },
};

const ranking: DemoStep = {
  name: "POST /v1/rerank",
  run: async ({ api, salt }) => {
    const documents = ["Our offices are closed on Sundays.", "Choose “Forgot password”."];
    const query = `How do I reset my password? (${salt})`;
    const reply = await api.post("/v1/rerank", { model: encoder, query, documents });
    const { results } = expectBody(reply, Ranking);
    expectTrue(results[0]?.index === 1, "the answer is not ranked first");
    const lines = results.map(
      ({ index, relevance_score: score }) => `${score.toFixed(3)} ${documents[index]}`,
    );
    return [...lines, origin(reply)];
  },
};

const tokens: DemoStep = {
  name: "POST /v1/tokenize",
  run: async ({ api }) => {
    const input = "Hello 😀 world";
    const reply = await api.post("/v1/tokenize", { model: encoder, input });
    const { tokens: ids, offsets } = expectBody(reply, Tokens);
    const words = offsets.map(([start, end]) => [...input].slice(start, end).join(""));
    expectTrue(words.includes("world"), "no token is the last word");
    return [ids.map((id, at) => `${id} ${JSON.stringify(words[at])}`).join(", "), origin(reply)];
  },
};

function listed(labels: z.infer<typeof Labels>): string {
  return labels.map(({ label, score }) => `${label} ${score.toFixed(3)}`).join(", ");
}

export const taskSteps: readonly DemoStep[] = [classification, zeroShot, ranking, tokens];
