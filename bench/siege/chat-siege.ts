/**
 * Honest callers of a model that writes, and of an encoder beside it, while one caller without limits keeps 14
 * connections busy with the dearest it may ask for: what the honest ones wait, beside what they wait among as many
 * well-behaved callers. Then the books: the honest ones are charged what their answers say, and so is the hostile one,
 * when it is one of the free tier; no reservation stays open. SIEGE_SECONDS sets another length than 60.
 */
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { type BenchContext, comparedRow, plainRow, type Row } from "../bench.ts";
import { randomFrom } from "../../contract/random.ts";
import { Callers, describeMet, embed, latencyAt, type Met, nothingMet } from "./callers.ts";
import { type Call, post } from "./hostile-calls.ts";
import { HostileChats } from "./hostile-chats.ts";

const model = "SmolLM2-135M-Instruct";
const folder = path.resolve(import.meta.dirname, "../../../shared/models", model);
const hostileConnections = 14;
/** More of them at once would not be answered in time. */
const awaitedAtOnce = 4;
const awaitedCalls = 9;
const honestOfEachKind = 2;
const openRequestsMax = 64;
const pauseMs = 250;
/** Of a well-behaved caller between two chats. */
const readingMs = 1_000;
const quietMs = 5_000;

const limits = {
  FREE_REQUESTS_PER_MINUTE: "1000000",
  FREE_REFUSALS_PER_MINUTE: "1000000",
  FREE_OPEN_REQUESTS: String(openRequestsMax),
  FREE_UNITS_PER_DAY: "1000000000",
};

type Siege = { stack: RunningStack; callers: Callers; context: BenchContext; seconds: number };
type Honest = { chats: Met; embeddings: Met };

/** Of a question as people ask it; answered anew each time. */
function chat(question: string, maxTokens: number): Call {
  const messages = [{ role: "user", content: question }];
  const body = { model, messages, max_tokens: maxTokens };
  return { ...post("/v1/chat/completions", body), patienceMs: 120_000 };
}

/** @param as makes a call theirs */
function honest(
  { callers }: Siege,
  name: string,
  { over, as = (call) => call }: { over: AbortSignal; as?: (call: Call) => Call },
): { met: Honest; ended: Promise<unknown> } {
  const met = { chats: nothingMet(), embeddings: nothingMet() };
  const ask = (i: number, n: number) => `${name}, ${i}.${n}: what does one call the sea at night?`;
  const loops = Array.from({ length: honestOfEachKind }, (_, i) => [
    callers.waiting((n) => as(chat(ask(i, n), 12)), met.chats, over, pauseMs),
    callers.waiting((n) => as(embed(ask(i, n))), met.embeddings, over, pauseMs),
  ]);
  return { met, ended: Promise.all(loops.flat()) };
}

function overAfter(seconds: number, { signal }: BenchContext): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(1_000 * seconds)]);
}

async function amongWellBehaved(siege: Siege): Promise<Honest> {
  const { callers, context, seconds } = siege;
  const over = overAfter(seconds, context);
  const { met, ended } = honest(siege, "calm", { over });
  const others = Array.from({ length: hostileConnections }, (_, i) => {
    const callOf = (n: number) => {
      const question = `Neighbour ${i} asks question ${n}: why is the sea salt, and the rain not?`;
      return callers.byOperator(chat(question, 64));
    };
    return callers.waiting(callOf, nothingMet(), over, readingMs);
  });
  await Promise.all([ended, ...others]);
  return met;
}

async function amongHostile(siege: Siege): Promise<{ met: Honest; hostile: Met }> {
  const { callers, context, seconds } = siege;
  const over = overAfter(seconds, context);
  const hostile = nothingMet();
  const { met, ended } = honest(siege, "besieged", { over });
  const others = Array.from({ length: hostileConnections }, (_, i) => {
    const chats = new HostileChats(randomFrom(i), model);
    const calls = { next: () => callers.byOperator(chats.next()) };
    return callers.hostile(calls, randomFrom(100 + i), hostile, over);
  });
  await Promise.all([ended, ...others]);
  return { met, hostile };
}

/** Charged so far to the free tier; the second call that asks is answered from the cache, at no cost. */
async function charged({ callers }: Siege, settledBy: number): Promise<number> {
  await callers.unitsLeft();
  let left = await callers.unitsLeft();
  while (performance.now() < settledBy) {
    await delay(500);
    left = await callers.unitsLeft();
  }
  return Number(limits.FREE_UNITS_PER_DAY) - left;
}

/** The hostile caller is one of the free tier now, and waits for all that it asks for: each kind once. */
async function books(siege: Siege): Promise<{ over: number; answered: Met; refused: number }> {
  const { callers, context } = siege;
  const before = await charged(siege, performance.now() + quietMs);
  const answered = nothingMet();
  const chats = new HostileChats(randomFrom(1_000), model);
  const calls = Array.from({ length: awaitedCalls }, (_, at) => chats.awaited(at)).values();
  const send = () => callers.each(calls, answered, context.signal);
  await Promise.all(Array.from({ length: awaitedAtOnce }, send));
  const after = await charged(siege, performance.now() + quietMs);
  const atOnce = nothingMet();
  const ask = (_: unknown, i: number) =>
    callers.each([chat(`${i} of all at once?`, 1)], atOnce, context.signal);
  await Promise.all(Array.from({ length: openRequestsMax }, ask));
  return {
    over: after - before - answered.tokens,
    answered,
    refused: openRequestsMax - (atOnce.statuses.get(200) ?? 0),
  };
}

function waits(name: string, besieged: Met, calm: Met): Row[] {
  const shares = [0.5, 0.95].map((share) =>
    comparedRow(`honest ${name} p${share * 100}`, "ms", latencyAt(besieged, share), {
      name: "among well-behaved callers",
      value: latencyAt(calm, share),
    }),
  );
  return [...shares, plainRow(`honest ${name} answered`, "", besieged.latenciesMs.length)];
}

async function run(siege: Siege): Promise<Row[]> {
  const { callers, context, stack } = siege;
  const { print, signal } = context;
  const processes = ["worker", "edge", "queue"] as const;
  const pids = () => Promise.all(processes.map((name) => stack.pid(name)));
  print("warming up: models load, code is compiled");
  const warm = [chat("Is it warm?", 12), embed("warm")];
  await callers.each(
    warm.map((call) => callers.byOperator(call)),
    nothingMet(),
    signal,
  );
  const [started, before] = [await pids(), await charged(siege, 0)];

  const calm = await amongWellBehaved(siege);
  const { met, hostile } = await amongHostile(siege);
  print(`hostile calls met ${describeMet(hostile)}; honest chats ${describeMet(met.chats)}`);
  const honestCharge = (await charged(siege, performance.now() + quietMs)) - before;
  const told = [calm, met].flatMap(({ chats, embeddings }) => [chats.tokens, embeddings.tokens]);
  const ledger = await books(siege);
  print(`hostile calls of the free tier met ${describeMet(ledger.answered)}`);
  const failures = [met.chats, met.embeddings, hostile, ledger.answered].flatMap(
    (each) => each.failures,
  );
  for (const failure of failures.slice(0, 20)) print(`  ${failure}`);
  const samePids = (await pids()).every((pid, i) => pid === started[i]);
  return [
    ...waits("chats", met.chats, calm.chats),
    ...waits("embeddings", met.embeddings, calm.embeddings),
    plainRow("answers of 5xx, broken calls", "", failures.length),
    plainRow("processes started again", "", samePids ? 0 : 1),
    plainRow(
      "honest: charged over the answers",
      "tokens",
      honestCharge - told.reduce((sum, each) => sum + each, 0),
    ),
    plainRow("hostile: charged over the answers", "tokens", ledger.over),
    plainRow("hostile: tokens of answers", "tokens", ledger.answered.tokens),
    plainRow("reservations left open", "", ledger.refused),
  ];
}

export async function besiegeChats(context: BenchContext): Promise<Row[]> {
  if (!existsSync(folder)) throw new Error(`${folder} is not here`);
  const models = mkdtempSync(path.join(tmpdir(), "llm-os-chat-siege-"));
  symlinkSync(folder, path.join(models, model));
  const stack = await startStack({ env: { ...limits, LLM_OS_MODELS: models } });
  const callers = new Callers(stack);
  try {
    const seconds = Number(process.env["SIEGE_SECONDS"] ?? 60);
    return await run({ stack, callers, context, seconds });
  } finally {
    await callers.close();
    await stack.stop();
    rmSync(models, { recursive: true, force: true });
  }
}
