/**
 * Requests that are admissible and dear: for each task large, long and odd ones that its schema takes, on the routes
 * that take it, and what else a stranger may send: polls, hang-ups, webhooks to a receiver that never answers, bodies
 * that are almost or just too large. Made from a seed; nothing here sends.
 */
import { formatJobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { Random } from "../../contract/random.ts";
import { HostileTexts } from "./hostile-texts.ts";

export type Call = {
  method: "GET" | "POST";
  address: string;
  headers: Record<string, string>;
  body: string | null;
  /** The caller hangs up after so long. */
  patienceMs: number;
};

type Fields = Record<string, unknown>;
type TaskBody = { model: string; inputs: unknown[]; parameters?: Fields };

const encoder = "all-MiniLM-L6-v2";
/** Past this every caller of the siege hangs up. */
const patienceMsMax = 30_000;
const hastyMsMax = 2_000;
/** Of a body that a webhook is put into. */
const webhookBodyCharactersMax = 100_000;
/** Bytes just below and just above the limit of a body. */
const [bodyBytesAdmitted, bodyBytesRefused] = [8_300_000, 8_500_000];

/** A body of the native route for each task with a model; several where a task can be dear in several ways. */
const taskBodies: readonly [Task, (make: HostileTexts) => TaskBody][] = [
  ["text-classification", (make) => ({ model: "sentiment-en", inputs: make.texts(64, 400) })],
  ["text-classification", (make) => ({ model: "minilm-sentiment", inputs: make.texts(8, 400) })],
  [
    "feature-extraction",
    (make) => ({
      model: encoder,
      inputs: make.texts(64, 700),
      parameters: { truncate: true },
    }),
  ],
  [
    "sentence-similarity",
    (make) => ({
      model: encoder,
      inputs: [{ source_sentence: make.text(80), sentences: make.texts(200, 80) }],
    }),
  ],
  [
    "token-classification",
    (make) => ({
      model: "minilm-entities",
      inputs: [make.text(30_000)],
      parameters: { stride: 200, ignore_labels: [] },
    }),
  ],
  [
    "token-classification",
    (make) => ({
      model: "minilm-entities",
      inputs: [make.text(50)],
      parameters: { ignore_labels: make.labels(700, 60) },
    }),
  ],
  [
    "question-answering",
    (make) => ({
      model: "minilm-answers",
      inputs: [{ question: make.text(40), context: make.text(20_000) }],
      parameters: { top_k: 1_000, doc_stride: 150, max_answer_len: 10_000 },
    }),
  ],
  [
    "zero-shot-classification",
    (make) => ({
      model: encoder,
      inputs: make.texts(4, 200),
      parameters: { candidate_labels: make.labels(100, 30) },
    }),
  ],
  [
    "zero-shot-classification",
    (make) => ({
      model: "minilm-entailment",
      inputs: [make.text(400)],
      parameters: { candidate_labels: make.labels(100, 30), multi_label: true },
    }),
  ],
  [
    "few-shot-classification",
    (make) => ({
      model: encoder,
      inputs: make.texts(2, 60),
      parameters: {
        examples: make.labels(300, 60).map((text, i) => ({ text, label: `class ${i % 60}` })),
      },
    }),
  ],
  [
    "fill-mask",
    (make) => ({
      model: "minilm-mask",
      inputs: make.texts(16, 900).map((text) => `${text} [MASK]`),
      parameters: { top_k: 1_000 },
    }),
  ],
  [
    "relation-extraction",
    (make) => ({
      model: "minilm-relations",
      inputs: [make.text(600)],
      parameters: { entity_model: "minilm-entities" },
    }),
  ],
  [
    "rerank",
    (make) => ({
      model: "minilm-cross-encoder",
      inputs: [make.documents("texts")],
      parameters: { truncate: true, return_text: true },
    }),
  ],
  ["tokenize", (make) => ({ model: encoder, inputs: make.texts(50, 10_000) })],
  ["detokenize", (make) => ({ model: encoder, inputs: [make.ids(50_000), make.ids(50_000)] })],
];
const nativeOnly: ReadonlySet<Task> = new Set(["tokenize", "detokenize", "rerank"]);

/** What belongs to no task's own routes. */
const otherCalls: readonly ((make: HostileTexts) => Call)[] = [
  () => post("/v1/tokenize", { model: encoder, input: ".".repeat(1_000_000) }),
  (make) => post("/v1/tokenize", { model: encoder, input: make.texts(8, 1_000_000) }),
  (make) => post("/v1/detokenize", { model: encoder, tokens: make.ids(100_000) }),
  (make) => post("/v1/embeddings", { model: encoder, input: make.texts(256, 60) }),
  (make) => post("/v1/embeddings", { model: encoder, input: make.ids(200) }),
  () => post("/v1/embeddings", { model: encoder, input: "one and the same text" }),
  (make) => post("/v1/rerank", { model: encoder, ...make.documents("documents") }),
  (make) => post("/rerank", { ...make.documents("texts"), truncate: true }),
  () => post("/v1/embeddings", { model: encoder, input: "x".repeat(bodyBytesAdmitted) }),
  () => post("/v1/embeddings", { model: encoder, input: "x".repeat(bodyBytesRefused) }),
  (make) => post("/v1/embeddings", { model: `no-${make.unique()}`, input: "x" }),
  (make) => get(`/v1/jobs/${formatJobId(0, make.unique().padStart(32, "0"))}`),
  () => get("/v1/models"),
  (make) => get(`/v1/nothing/${make.unique()}`),
];

/** Of all calls that many are of a task. */
const taskShare = 0.6;

export class HostileCalls {
  readonly #random: Random;
  readonly #make: HostileTexts;
  readonly #webhook: string;

  /** @param webhook address of a receiver that never answers */
  constructor(random: Random, webhook: string) {
    this.#random = random;
    this.#make = new HostileTexts(random);
    this.#webhook = webhook;
  }

  /** One of each kind, as it is: afterwards every model is loaded. */
  ofEachKind(): Call[] {
    const ofTasks = taskBodies.map(([task, bodyOf]) =>
      post(`/v1/tasks/${task}`, bodyOf(this.#make)),
    );
    return [...ofTasks, ...otherCalls.map((callOf) => callOf(this.#make))];
  }

  next(): Call {
    const call =
      this.#random() < taskShare ? this.#taskCall() : this.#make.pick(otherCalls)(this.#make);
    return call.method === "GET" ? call : this.#withManners(call);
  }

  /** On the native route, or on Hugging Face's. */
  #taskCall(): Call {
    const [task, bodyOf] = this.#make.pick(taskBodies);
    const body = bodyOf(this.#make);
    const native = nativeOnly.has(task) || this.#random() < 0.5;
    if (native) return post(`/v1/tasks/${task}`, body);
    const { model, inputs, parameters = {} } = body;
    const address = `/hf/models/${model}/pipeline/${task}`;
    const flat = task === "feature-extraction";
    return post(address, flat ? { inputs, ...parameters } : { inputs, parameters });
  }

  /** Some wait, some come back for a job, some hang up, some name a webhook, some want nothing kept. */
  #withManners(call: Call): Call {
    const manner = this.#random();
    if (manner < 0.25) return { ...call, patienceMs: Math.floor(this.#random() * hastyMsMax) };
    if (manner < 0.4) return withHeaders(call, { prefer: "respond-async" });
    if (manner < 0.5) return withHeaders(this.#withWebhook(call), { prefer: "respond-async" });
    if (manner < 0.6) return withHeaders(call, { prefer: "wait=2" });
    if (manner < 0.7) return withHeaders(call, { "cache-control": "no-store" });
    return manner < 0.75 ? withHeaders(call, { "x-resumable": "1", prefer: "wait=1" }) : call;
  }

  #withWebhook(call: Call): Call {
    const { address, body } = call;
    if (body === null || body.length > webhookBodyCharactersMax || address === "/rerank") {
      return call;
    }
    const events = ["start", "output", "completed"];
    const hook = JSON.stringify({ webhook: this.#webhook, webhook_events_filter: events });
    return { ...call, body: `${body.slice(0, -1)},${hook.slice(1)}` };
  }
}

export function post(address: string, body: object): Call {
  const headers = { "content-type": "application/json" };
  return {
    method: "POST",
    address,
    headers,
    body: JSON.stringify(body),
    patienceMs: patienceMsMax,
  };
}

function get(address: string): Call {
  return { method: "GET", address, headers: {}, body: null, patienceMs: patienceMsMax };
}

function withHeaders(call: Call, headers: Record<string, string>): Call {
  return { ...call, headers: { ...call.headers, ...headers } };
}
