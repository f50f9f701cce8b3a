/**
 * Bodies that nobody means, at every address of a running stack that has a model write: none is answered by a failure,
 * none ends a process, and whoever asks beside them for something sensible gets it.
 */
import { beforeAll, expect, it } from "vitest";
import { GenerationFuzzer } from "../generation-fuzzer.ts";
import { tinyWriter as model } from "./chat-model.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const count = 500;
const atOnce = 8;
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("writers");
});

function post(route: string, body: unknown): Promise<Response> {
  return fetch(`${stack.url}${route}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stack.operatorKey}`,
      "content-type": "application/json",
      "cache-control": "no-store",
    },
    body: JSON.stringify(body),
  });
}

async function sensible(): Promise<unknown> {
  const messages = [{ role: "user", content: "w5 w6 w7" }];
  const asked = { model, messages, temperature: 0, max_tokens: 5 };
  const response = await post("/v1/chat/completions", asked);
  const { choices } = (await response.json()) as { choices: unknown };
  return choices;
}

it(`answers or refuses ${count} bodies, ${atOnce} at once, and others beside them`, async () => {
  const expected = await sensible();
  const pids = await Promise.all(["workerd", "worker"].map((name) => stack.pid(name)));
  const fuzzer = new GenerationFuzzer(42, model, 1_000_000);
  const calls = Array.from({ length: count }, () => fuzzer.call()).values();
  const statuses = new Map<number, number>();
  const send = async () => {
    for (const { path: route, body } of calls) {
      const response = await post(route, body);
      const answer = await response.text();
      const asked = `${route} ${JSON.stringify(body).slice(0, 400)} → ${answer.slice(0, 400)}`;
      expect(response.status, asked).toBeLessThan(500);
      // A response has one that is null.
      expect(/"error":(?!null)/.test(answer), asked).toBe(response.status !== 200);
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  };
  const state = { isSending: true };
  const fuzzing = Promise.all(Array.from({ length: atOnce }, send)).finally(() => {
    state.isSending = false;
  });
  let asked = 0;
  while (state.isSending) {
    expect(await sensible()).toEqual(expected);
    asked += 1;
  }
  await fuzzing;
  expect(asked).toBeGreaterThan(0);
  expect(await Promise.all(["workerd", "worker"].map((name) => stack.pid(name)))).toEqual(pids);
  // Some of each: bodies that are all refused at their first field try nothing.
  expect(statuses.get(200)).toBeGreaterThan(50);
  expect(statuses.get(400)).toBeGreaterThan(50);
  console.info(`answered by ${JSON.stringify(Object.fromEntries(statuses))}`);
});
