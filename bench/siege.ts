/**
 * Five minutes of hostile but admissible requests of every task and route from 64 callers of the free tier (its limits
 * raised, so that all of it is admitted), beside eight honest callers with the operator key: what the honest ones
 * wait, beside what they wait among well-behaved callers who spend as many tokens; whether anything failed or was
 * started again; and what memory each process holds after a minute of quiet. `--kill`: random kills under load
 * instead, see siege/kills.ts; `--chat`: callers of a model that writes, see siege/chat-siege.ts. SIEGE_SECONDS sets
 * another length, for a short run.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningStack, startStack } from "../infra/local/start-stack.ts";
import {
  type MinilmHead,
  minilmHeads,
  writeMinilmWithHead,
} from "../test/models/minilm-with-head.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { randomFrom } from "../contract/random.ts";
import { type Resident, residentMemory } from "./harness/resident-memory.ts";
import { besiegeChats } from "./siege/chat-siege.ts";
import { Callers, describeMet, latencyAt, type Met, nothingMet } from "./siege/callers.ts";
import { HostileCalls } from "./siege/hostile-calls.ts";
import { killUnderLoad } from "./siege/kills.ts";

const hostileCallers = 64;
const honestCallers = 8;
const quietSeconds = 60;
/** By then a worker that has nothing to do has collected its garbage. */
const settlingSeconds = 15;
const processes = ["worker", "workerd", "edge", "queue"] as const;
const mebibyte = 2 ** 20;

/** One tenant stands for many here. */
const raisedLimits = {
  FREE_REQUESTS_PER_MINUTE: "1000000",
  FREE_REFUSALS_PER_MINUTE: "1000000",
  FREE_OPEN_REQUESTS: String(2 * hostileCallers),
  FREE_UNITS_PER_DAY: "1000000000",
};

function siegeSeconds(): number {
  const wanted = Number(process.env["SIEGE_SECONDS"] ?? 300);
  if (Number.isInteger(wanted) && wanted >= 5) return wanted;
  throw new Error("SIEGE_SECONDS must be a whole number from 5 on");
}

/** Takes every webhook, and answers none before the sender gives up. */
async function openSlowReceiver() {
  const server = createServer((incoming) => incoming.resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    target: `127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

type Siege = { stack: RunningStack; callers: Callers; receiver: string; context: BenchContext };

/** @returns what the honest callers met, and what the others did */
async function besiege(siege: Siege, seconds: number, seed: number): Promise<[Met, Met]> {
  const { callers, receiver, context } = siege;
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(1_000 * seconds)]);
  const [honest, hostile] = [nothingMet(), nothingMet()];
  const random = randomFrom(seed);
  const calls = new HostileCalls(random, `http://${receiver}/never`);
  await Promise.all([
    ...times(honestCallers, (i) => callers.honest(`${seed}.${i}`, honest, signal)),
    ...times(hostileCallers, () => callers.hostile(calls, random, hostile, signal)),
  ]);
  return [honest, hostile];
}

/** @param rate tokens a second of all well-behaved callers together */
async function compare({ callers, context }: Siege, seconds: number, rate: number) {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(1_000 * seconds)]);
  const [honest, others] = [nothingMet(), nothingMet()];
  await Promise.all([
    ...times(honestCallers, (i) => callers.honest(`calm.${i}`, honest, signal)),
    ...times(hostileCallers, (i) =>
      callers.wellBehaved(`${i}`, rate / hostileCallers, others, signal),
    ),
  ]);
  return { honest, others };
}

async function memoryOf(stack: RunningStack): Promise<Map<string, Resident>> {
  const memory = new Map<string, Resident>();
  for (const name of processes) {
    const resident = residentMemory(await stack.pid(name));
    if (resident !== null) memory.set(name, resident);
  }
  return memory;
}

const pidsOf = (stack: RunningStack) => Promise.all(processes.map((name) => stack.pid(name)));

async function run(siege: Siege): Promise<Row[]> {
  const { stack, callers, context } = siege;
  const { print, signal } = context;
  const seconds = siegeSeconds();
  print("warming up: models load, caches fill, code is compiled, the allocators find their sizes");
  const oneOfEach = new HostileCalls(randomFrom(0), `http://${siege.receiver}/never`).ofEachKind();
  await callers.each(oneOfEach, nothingMet(), signal);
  // For as long as workerd's allocator takes to find its size, about: what it frees it mostly keeps.
  await besiege(siege, Math.max(5, seconds / 3), 1);
  await delay(1_000 * settlingSeconds, undefined, { signal });
  const [pids, before, left] = [
    await pidsOf(stack),
    await memoryOf(stack),
    await callers.unitsLeft(),
  ];

  const [honest, hostile] = await besiege(siege, seconds, 2);
  print(`hostile callers met ${describeMet(hostile)}; honest ones ${describeMet(honest)}`);
  for (const failure of [...honest.failures, ...hostile.failures].slice(0, 20))
    print(`  ${failure}`);
  await delay(1_000 * quietSeconds, undefined, { signal });
  const [after, admitted] = [await memoryOf(stack), left - (await callers.unitsLeft())];

  const rate = admitted / seconds;
  print(
    `${admitted} tokens were admitted, ${rate.toFixed(0)} a second; now as many from well-behaved callers`,
  );
  const calmSeconds = Math.max(5, seconds * 0.1);
  const calm = await compare(siege, calmSeconds, rate);
  const reached = left - admitted - (await callers.unitsLeft());
  print(
    `they reached ${(reached / calmSeconds).toFixed(0)} a second, and met ${describeMet(calm.others)}`,
  );
  const samePids = (await pidsOf(stack)).every((pid, i) => pid === pids[i]);
  return [
    ...waits(honest, calm.honest),
    plainRow("answers of 5xx, broken calls", "", honest.failures.length + hostile.failures.length),
    plainRow("processes started again", "", samePids ? 0 : 1),
    plainRow("hostile answers", "", sum([...hostile.statuses.values()])),
    plainRow("honest answers", "", honest.latenciesMs.length),
    plainRow("admitted tokens", "tokens/s", rate),
    ...processes.flatMap((name) => memoryRows(name, before.get(name), after.get(name))),
  ];
}

function waits(besieged: Met, calm: Met): Row[] {
  return [0.5, 0.99].map((share) =>
    comparedRow(`honest p${share * 100}`, "ms", latencyAt(besieged, share), {
      name: "among well-behaved callers",
      value: latencyAt(calm, share),
    }),
  );
}

function memoryRows(name: string, before?: Resident, after?: Resident): Row[] {
  if (before === undefined || after === undefined) return [];
  return [
    plainRow(`${name} before`, "MiB", before.now / mebibyte),
    plainRow(`${name} after`, "MiB", after.now / mebibyte),
    plainRow(`${name} growth`, "%", 100 * (after.now / before.now - 1)),
    plainRow(`${name} peak`, "MiB", after.peak / mebibyte),
  ];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

export const bench: Bench = {
  summary:
    "hostile callers beside honest ones; --chat: of a model that writes; --kill: random kills",
  run: async (context) => {
    if (context.args.includes("--kill")) return killUnderLoad(context);
    if (context.args.includes("--chat")) return besiegeChats(context);
    const models = mkdtempSync(path.join(tmpdir(), "llm-os-siege-"));
    mkdirSync(models, { recursive: true });
    for (const name of Object.keys(minilmHeads))
      await writeMinilmWithHead(models, name as MinilmHead);
    const receiver = await openSlowReceiver();
    const env = { ...raisedLimits, LLM_OS_MODELS: models, LLM_OS_WEBHOOK_ALLOW: receiver.target };
    const stack = await startStack({ env });
    const callers = new Callers(stack);
    try {
      return await run({ stack, callers, receiver: receiver.target, context });
    } finally {
      await callers.close();
      await stack.stop();
      receiver.close();
      rmSync(models, { recursive: true, force: true });
    }
  },
};
