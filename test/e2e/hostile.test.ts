/**
 * A thousand hostile requests for every task, through HTTP on the whole running stack: each is answered, none with a
 * 5xx, no process of the stack ends, and a valid call works afterwards. HOSTILE_SEED repeats a run.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { taskNames } from "#contract/task-table.ts";
import { type Task, tasks } from "#contract/tasks.ts";
import { hostileRequest, type Json, randomFrom, type ValidCall } from "./hostile-requests.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const perTask = 1_000;
const inFlight = 32;
const seed = Number(process.env["HOSTILE_SEED"] ?? 1);
const names: readonly Task[] = taskNames;
const processes = ["edge", "workerd", "queue", "worker"] as const;
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("encoders");
});

/** Where the message of the contract's example names a model that is not here. */
const modelsHere: Readonly<Record<string, string>> = {
  answers: "minilm-answers",
  entities: "minilm-entities",
  mask: "minilm-mask",
  relations: "minilm-relations",
  "SmolLM2-135M-Instruct": "tiny-llama",
};

/** In the words that the small decoder knows. */
const inputsHere: Partial<Record<Task, Json[]>> = {
  "chat-completion": [
    { messages: [{ role: "user", content: [{ text: "w5" }, { text: "w6 w7" }] }] },
  ],
  "text-generation": ["w5 w6 w7", [5, 6, 7]],
};

const Json: z.ZodType<Json> = z.json();
const Message = z.looseObject({
  model: z.string(),
  inputs: z.array(Json).min(1),
  parameters: z.record(z.string(), Json),
});

/** The contract's example of the task, as the routes take it. */
function validCalls(task: Task): ValidCall[] {
  const file = path.resolve(import.meta.dirname, `../../contract/golden/job-message.${task}.json`);
  const message = Message.parse(JSON.parse(readFileSync(file, "utf8")));
  const model = modelsHere[message.model] ?? message.model;
  const { parameters: given } = message;
  const inputs = inputsHere[task] ?? message.inputs;
  const parameters =
    given["entity_model"] === undefined ? given : { ...given, entity_model: "minilm-entities" };
  const native = { address: `/v1/tasks/${task}`, body: { model, inputs, parameters } };
  if (tasks[task].huggingFace === null) return [native];
  const [input = null] = inputs;
  const address = `/hf/models/${model}/pipeline/${task}`;
  return [native, { address, body: { inputs: input, parameters } }];
}

type Answer = { status: number; body: string };

async function ask(address: string, headers: Record<string, string>, body: Uint8Array) {
  const response = await fetch(`${stack.url}${address}`, {
    method: "POST",
    headers: { ...headers, authorization: `Bearer ${stack.operatorKey}` },
    body: Uint8Array.from(body),
  });
  return { status: response.status, body: await response.text() } satisfies Answer;
}

const Refusal = z.looseObject({ error: z.union([z.string().min(1), z.looseObject({})]) });

/** Null where the answer is one that a caller can read. */
function complaint({ status, body }: Answer): string | null {
  if (status < 400) return null;
  const readable = Refusal.safeParse(JSON.parse(body)).success;
  return status < 500 && readable ? null : `${status} ${body.slice(0, 300)}`;
}

async function storm(task: Task): Promise<{ complaints: string[]; refused: number }> {
  const random = randomFrom(seed + names.indexOf(task));
  const calls = validCalls(task);
  const complaints: string[] = [];
  let refused = 0;
  let left = perTask;
  const caller = async () => {
    while (left-- > 0) {
      const { address, headers, body } = hostileRequest(calls, random);
      const answer = await ask(address, headers, body);
      if (answer.status >= 400) refused += 1;
      const wrong = complaint(answer);
      if (wrong !== null)
        complaints.push(`${address} ${Buffer.from(body.slice(0, 300))}: ${wrong}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return { complaints, refused };
}

const pids = () => Promise.all(processes.map((name) => stack.pid(name)));
const encode = (body: Json) => new TextEncoder().encode(JSON.stringify(body));

it.each(names)("%s answers whatever comes", async (task) => {
  const before = await pids();
  const calls = validCalls(task);
  const { complaints, refused } = await storm(task);
  expect(complaints.slice(0, 5)).toEqual([]);
  // Most are wrong, and some are right by chance: otherwise nothing hostile was sent, or nothing passed the edge.
  expect(refused).toBeGreaterThan(perTask / 2);
  expect(refused).toBeLessThan(perTask);
  for (const { address, body } of calls) {
    const answer = await ask(address, { "content-type": "application/json" }, encode(body));
    expect(answer, address).toMatchObject({ status: 200 });
  }
  expect(await pids()).toEqual(before);
});
