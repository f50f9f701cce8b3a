/** The Python clients, unmodified, each by its script in ./python. */
import { expect, it } from "vitest";
import type { MinilmHead } from "../../models/minilm-with-head.ts";
import { describeScript, type PythonClient, pythonOf } from "./python-script.ts";
import {
  expectRight,
  expectSame,
  mistakes,
  question,
  type Rank,
  rankMistakes,
  ranksOf,
  type Running,
  texts,
  vectorsOf,
} from "./truth.ts";

type Vectors = number[][];
type Labels = { label: string; score: number }[];

const openaiErrors = {
  400: "openai.BadRequestError",
  401: "openai.AuthenticationError",
  404: "openai.NotFoundError",
  429: "openai.RateLimitError",
};

const huggingFace: PythonClient = {
  name: "huggingface_hub",
  modules: ["huggingface_hub", "numpy"],
  script: "hugging_face_client.py",
  mistaken: mistakes,
  errors: {
    400: "huggingface_hub.errors.BadRequestError",
    401: "huggingface_hub.errors.HfHubHTTPError",
    404: "huggingface_hub.errors.HfHubHTTPError",
    429: "huggingface_hub.errors.HfHubHTTPError",
  },
};

/** Served beside what ships, for tasks of which no real model is here. */
export const headsAsked: readonly MinilmHead[] =
  pythonOf(huggingFace) === null
    ? []
    : ["minilm-entities", "minilm-answers", "minilm-entailment", "minilm-mask"];

export function describePython(running: Running): void {
  describeOpenai(running);
  describeLangChain(running);
  describeLlamaIndex(running);
  describeCohere(running);
  describeLitellm(running);
  describeHuggingFace(running);
}

function describeOpenai(running: Running): void {
  type Told = Record<"by_default" | "as_floats" | "one_by_one" | "with_extras", Vectors> & {
    warnings: string;
    truncated: object;
    models: string[];
    sent: number[];
  };
  const client = {
    name: "openai",
    modules: ["openai", "numpy"],
    script: "openai_client.py",
    mistaken: mistakes,
    errors: openaiErrors,
  };
  describeScript<Told>(running, client, (told) => {
    it("gets the same right vectors however it asks", async () => {
      const { by_default, as_floats, one_by_one, with_extras, warnings, truncated } = told();
      expectRight(by_default);
      const expected = await vectorsOf(running(), texts);
      expect(by_default).toEqual(as_floats);
      for (const vectors of [as_floats, one_by_one, with_extras]) expectSame(vectors, expected);
      expect(warnings).toBe("user: accepted and not acted on");
      expect(truncated).toMatchObject({ prompt_tokens: 256, truncated_inputs: 1 });
    });

    it("lists the models, and asks once where the day is used up", () => {
      expect(told().models).toContain("all-MiniLM-L6-v2");
      expect(told().sent).toEqual([429]);
    });
  });
}

function describeLangChain(running: Running): void {
  type Told = Record<
    "by_default" | "as_texts" | "in_batches" | "asynchronously" | "truncated",
    Vectors
  > & { query: number[]; warnings: (string | null)[]; sent: number[] };
  const client = {
    name: "LangChain's OpenAIEmbeddings",
    modules: ["langchain_openai", "tiktoken"],
    script: "langchain_client.py",
    mistaken: mistakes,
    errors: openaiErrors,
  };
  describeScript<Told>(running, client, (told) => {
    it("gets the vectors of its texts, token ids though it sends", async () => {
      const { by_default, as_texts, in_batches, asynchronously, query, warnings } = told();
      const expected = await vectorsOf(running(), texts);
      for (const vectors of [by_default, as_texts, in_batches, asynchronously]) {
        expectSame(vectors, expected);
      }
      expectSame([query], expected.slice(0, 1));
      const ofIds = expect.stringContaining("cl100k_base");
      expect(warnings).toEqual([ofIds, null, ofIds]);
    });

    it("may have long texts cut, and asks once where the day is used up", () => {
      expect(told().truncated.map(({ length }) => length)).toEqual([384]);
      expect(told().sent).toEqual([429]);
    });
  });
}

function describeLlamaIndex(running: Running): void {
  type Told = Record<"own" | "like" | "asynchronously", Vectors> & { query: number[] };
  const client = {
    name: "LlamaIndex's OpenAIEmbedding",
    modules: ["llama_index.embeddings.openai", "llama_index.embeddings.openai_like"],
    script: "llama_index_client.py",
    mistaken: mistakes,
    errors: openaiErrors,
  };
  describeScript<Told>(running, client, (told) => {
    it("gets the vectors of its texts, by either class", async () => {
      const { own, like, asynchronously, query } = told();
      const expected = await vectorsOf(running(), texts);
      for (const vectors of [own, like, asynchronously]) expectSame(vectors, expected);
      expectSame([query], expected.slice(0, 1));
    });
  });
}

function describeCohere(running: Running): void {
  type Told = {
    second: Rank[];
    first: Rank[];
    documents: string[];
    at_once: Rank[][];
    too_much_seconds: number;
  };
  const client = {
    name: "cohere",
    modules: ["cohere"],
    script: "cohere_client.py",
    mistaken: rankMistakes,
    errors: {
      400: "cohere.errors.bad_request_error.BadRequestError",
      401: "cohere.errors.unauthorized_error.UnauthorizedError",
      404: "cohere.errors.not_found_error.NotFoundError",
      429: "cohere.errors.too_many_requests_error.TooManyRequestsError",
    },
  };
  describeScript<Told>(running, client, (told) => {
    it("ranks documents, by either version", async () => {
      const { second, first, documents, at_once: answers } = told();
      const expected = await ranksOf(running());
      for (const ranks of [second, ...answers]) expect(ranks).toEqual(expected);
      expect(first).toEqual(expected.slice(0, 2));
      expect(documents).toEqual(first.map(({ index }) => question.documents[index]));
    });

    it("does not wait for the next day", () => {
      // Two resends, 1 s and 2 s later; of a retry-after it would wait through two minutes.
      expect(told().too_much_seconds).toBeLessThan(20);
    });
  });
}

function describeLitellm(running: Running): void {
  type Told = { vectors: Record<string, Vectors>; ranks: Record<string, Rank[]> };
  const client = {
    name: "litellm",
    modules: ["litellm"],
    script: "litellm_client.py",
    mistaken: mistakes,
    errors: openaiErrors,
  };
  describeScript<Told>(running, client, (told) => {
    it("gets the vectors of its texts, by each provider", async () => {
      const expected = await vectorsOf(running(), texts);
      expect(Object.keys(told().vectors)).toHaveLength(5);
      for (const vectors of Object.values(told().vectors)) expectSame(vectors, expected);
    });

    it("ranks documents, by each provider", async () => {
      const expected = await ranksOf(running());
      expect(Object.keys(told().ranks)).toHaveLength(5);
      for (const ranks of Object.values(told().ranks)) expect(ranks).toEqual(expected);
    });
  });
}

function describeHuggingFace(running: Running): void {
  type Told = Record<"feature_extraction" | "by_base_url" | "one_by_one", Vectors> & {
    text_classification: Labels;
    token_classification: { word: string; start: number; end: number; entity_group: string }[];
    question_answering: { answer: string; start: number; end: number };
    question_answering_several: { answer: string }[];
    zero_shot_similarity: Labels;
    zero_shot_entailment: Labels;
    truncated: number[];
    sentence_similarity: number[];
    fill_mask: { sequence: string; score: number }[];
  };
  describeScript<Told>(running, huggingFace, (told) => {
    it("gets the vectors of its texts however it asks", async () => {
      const { feature_extraction, by_base_url, one_by_one, truncated } = told();
      const expected = await vectorsOf(running(), texts);
      for (const vectors of [feature_extraction, by_base_url, one_by_one]) {
        expectSame(vectors, expected);
      }
      expect(truncated).toEqual([1, 384]);
    });

    it("gets what it expects of every task", async () => {
      const answers = told();
      expect(answers.text_classification.map(({ label }) => label)).toEqual(["positive"]);
      const text = "😀 Émilie Dùpont 在北京 met שרה in Köln";
      expect(answers.token_classification.length).toBeGreaterThan(0);
      for (const { word, start, end } of answers.token_classification) {
        expect([...text].slice(start, end).join("")).toBe(word);
      }
      const context = "The bridge was finished in 1932. ".repeat(80);
      const { answer, start, end } = answers.question_answering;
      expect(context.slice(start, end)).toBe(answer);
      expect(answers.question_answering_several).toHaveLength(3);
      expect(answers.zero_shot_similarity[0]?.label).toBe("football");
      expect(answers.zero_shot_entailment).toHaveLength(3);
      const [best] = await ranksOf(running());
      const scores = answers.sentence_similarity;
      expect(scores.indexOf(Math.max(...scores))).toBe(best?.index);
      expect(answers.fill_mask).toHaveLength(2);
    });
  });
}
