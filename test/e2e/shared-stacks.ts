/**
 * Stacks that several files call at once, so that none of these starts its own. As global set-up this runs beside all
 * files, which are processes of their own and ask it for a stack over HTTP: one is started when it is first asked for,
 * and all are stopped after the last test. Not for files that change or count what a caller may do, or end a process.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { loopback } from "../../infra/local/free-ports.ts";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { type MinilmHead, minilmHeads, writeMinilmWithHead } from "../models/minilm-with-head.ts";
import { isLarge, model, placeModel, tinyWriter } from "./chat-model.ts";
import { placeRandomDecoders } from "./random-decoders.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where stacks are asked for. */
    sharedStacks: string;
  }
}

type Planned = {
  /** Writes what is served beyond what ships. @param models the folder that the worker serves models of */
  place: (models: string) => Promise<unknown>;
  env: Record<string, string>;
};

const planned = {
  plain: { place: async () => undefined, env: {} },
  /** MiniLM with a head of each kind, and the smallest model that writes. */
  encoders: {
    place: async (models) => {
      for (const name of Object.keys(minilmHeads))
        await writeMinilmWithHead(models, name as MinilmHead);
      await writeTinyDecoder(path.join(models, tinyWriter));
    },
    env: {},
  },
  writers: {
    place: async (models) => {
      await placeRandomDecoders(models);
      await placeModel(models);
      if (isLarge) await writeTinyDecoder(path.join(models, tinyWriter));
    },
    // Files that ask without a key are one caller.
    env: { PROMPT_MODEL: model, FREE_REQUESTS_PER_MINUTE: "1000", FREE_OPEN_REQUESTS: "100" },
  },
} satisfies Record<string, Planned>;

export type StackName = keyof typeof planned;

function isStackName(name: string): name is StackName {
  return Object.hasOwn(planned, name);
}

class SharedStacks {
  readonly #started = new Map<StackName, Promise<RunningStack>>();
  readonly #models = mkdtempSync(path.join(tmpdir(), "llm-os-shared-"));
  readonly #env: Record<string, string>;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  get(name: StackName): Promise<RunningStack> {
    const started = this.#started.get(name) ?? this.#start(name);
    this.#started.set(name, started);
    return started;
  }

  async #start(name: StackName): Promise<RunningStack> {
    const models = mkdtempSync(path.join(this.#models, name));
    const { place, env } = planned[name];
    await place(models);
    return startStack({ env: { ...this.#env, ...env, LLM_OS_MODELS: models } });
  }

  async stop(): Promise<void> {
    const started = await Promise.allSettled(this.#started.values());
    const stacks = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    await Promise.all(stacks.map((stack) => stack.stop()));
    rmSync(this.#models, { recursive: true, force: true });
  }
}

export default async function setUp({
  config,
  provide,
}: TestProject): Promise<() => Promise<void>> {
  const env = Object.fromEntries(
    Object.entries(config.env).flatMap(([key, value]) => (value ? [[key, value]] : [])),
  );
  const stacks = new SharedStacks(env);
  const server = createServer((request, response) => {
    const name = (request.url ?? "").slice(1);
    const asked = isStackName(name) ? stacks.get(name) : Promise.reject(new Error(`no ${name}`));
    asked.then(
      ({ url, operatorKey, state }) => response.end(JSON.stringify({ url, operatorKey, state })),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
  provide("sharedStacks", `http://${loopback}:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    server.closeAllConnections();
    await stacks.stop();
    const cache = env["LLM_OS_CACHE"];
    if (cache !== undefined) rmSync(cache, { recursive: true, force: true });
  };
}
