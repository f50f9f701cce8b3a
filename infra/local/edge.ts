/**
 * Child of the launcher: the edge on workerd, through wrangler's own Miniflare in this process. The API answers on a
 * socket straight into the worker, behind a relay that notices callers who hang up. Ends when its workerd ends, so that
 * the launcher starts both again.
 */
import { type ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { readdirSync } from "node:fs";
import { createRequire, flushCompileCache } from "node:module";
import path from "node:path";
import process from "node:process";
import {
  EdgeSettings,
  type NeighbourWorker,
  onLauncherGone,
  readSettings,
  tellLauncher,
} from "./child-protocol.ts";
import {
  type AssetOptions,
  type EdgeBundle,
  openEdgeBundle,
  type WorkerOptions,
} from "./edge-bundle.ts";
import { createEgressGuard } from "./egress-guard.ts";
import { freePorts, loopback } from "./free-ports.ts";
import { limitHeap } from "./limit-heap.ts";
import { openHangUpRelay } from "./hang-up-relay.ts";

/** The part of Miniflare used here. */
type MiniflareModule = {
  Miniflare: new (options: unknown) => { ready: Promise<URL>; dispose(): Promise<void> };
  convertV4MiniflareOptions: (options: unknown) => unknown;
  Log: new (level: number) => unknown;
  LogLevel: { WARN: number };
  Response: typeof Response;
};

type Running = InstanceType<MiniflareModule["Miniflare"]>;
/** What this process holds; `running` is null until the bundle is there. */
type Edge = { stopping: boolean; running: Running | null };

/** Miniflare as wrangler has it: a second copy would bring a second workerd. */
function loadMiniflare(): MiniflareModule {
  const wrangler = createRequire(import.meta.url).resolve("wrangler/package.json");
  const module: MiniflareModule = createRequire(wrangler)("miniflare");
  return module;
}

/** Names workerd to the launcher, and ends with it. */
function followWorkerd(edge: Edge): void {
  subscribe("child_process", (message) => {
    if (!isSpawned(message)) return;
    const child = message.process;
    child.once("spawn", () => {
      if (child.pid === undefined || !/workerd/.test(child.spawnfile)) return;
      tellLauncher({ type: "spawned", name: "workerd", pid: child.pid });
      child.once("exit", (code, signal) => {
        if (edge.stopping) return;
        console.error(`workerd ended (${signal ?? code})`);
        process.exit(1);
      });
    });
  });
}

/** What Node publishes on its `child_process` channel, before the child has an id. */
function isSpawned(message: unknown): message is { process: ChildProcess } {
  return typeof message === "object" && message !== null && "process" in message;
}

function modulesIn(folder: string) {
  const files = readdirSync(folder).filter((file) => /\.(js|wasm)$/.test(file));
  return {
    modulesRoot: folder,
    modules: files.map((file) => ({
      type: file.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
      path: path.join(folder, file),
    })),
  };
}

function edgeWorker(modules: string, options: WorkerOptions, settings: EdgeSettings) {
  return {
    ...options,
    ...modulesIn(modules),
    name: "edge",
    bindings: { ...options.bindings, ...overrides(options.bindings), ...settings.bindings },
    serviceBindings: { ...options.serviceBindings, EGRESS: "egress", ASSETS: "assets" },
    unsafeDirectSockets: [{ host: loopback, port: settings.port }],
  };
}

/** What the edge asks for its assets. */
function assetsWorker(assets: AssetOptions, options: WorkerOptions) {
  return {
    name: "assets",
    modules: true,
    script: "export default { fetch: (request, { ASSETS }) => ASSETS.fetch(request) };",
    compatibilityDate: options["compatibilityDate"],
    assets,
  };
}

/** Any variable of wrangler.toml may be replaced by one of the same name in the environment. */
function overrides(variables: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.keys(variables).flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Passes webhooks on to the guard, which sees the address behind the name. */
function egressWorker(miniflare: MiniflareModule, allow: string, options: WorkerOptions) {
  const guard = createEgressGuard(new Set(allow.split(",").map((target) => target.trim())));
  return {
    name: "egress",
    modules: true,
    script: "export default { fetch(request) { return fetch(request); } };",
    compatibilityDate: options["compatibilityDate"],
    outboundService: async (request: Request) => {
      const { status, headers, body } = await guard({
        url: request.url,
        method: request.method,
        headers: Object.fromEntries(request.headers),
        body: new Uint8Array(await request.arrayBuffer()),
      });
      return new miniflare.Response(bodyOf(status, body), { status, headers });
    },
  };
}

/** A null-body status must have no body at all. */
function bodyOf(status: number, body: Uint8Array): string | null {
  return status === 204 || status === 205 || status === 304 ? null : new TextDecoder().decode(body);
}

function neighbourWorker({ name, modules, port }: NeighbourWorker, options: WorkerOptions) {
  return {
    name,
    ...modulesIn(modules),
    compatibilityDate: options["compatibilityDate"],
    compatibilityFlags: options["compatibilityFlags"],
    unsafeDirectSockets: [{ host: loopback, port }],
  };
}

function miniflareOptions(miniflare: MiniflareModule, bundle: EdgeBundle, settings: EdgeSettings) {
  const { modules, options, assets } = bundle;
  return miniflare.convertV4MiniflareOptions({
    host: loopback,
    port: 0,
    cf: false,
    log: new miniflare.Log(miniflare.LogLevel.WARN),
    logRequests: false,
    telemetry: { enabled: false },
    resourcePersistencePath: path.join(settings.state, "edge"),
    unsafeTriggerHandlers: true,
    workers: [
      edgeWorker(modules, options, settings),
      assetsWorker(assets, options),
      egressWorker(miniflare, settings.bindings["WEBHOOK_ALLOW"] ?? "", options),
      ...settings.neighbours.map((neighbour) => neighbourWorker(neighbour, options)),
    ],
  });
}

async function main(): Promise<void> {
  const settings = readSettings(EdgeSettings);
  const [workerdPort = 0] = await freePorts(1);
  const edge: Edge = { stopping: false, running: null };
  onLauncherGone(() => {
    edge.stopping = true;
    void Promise.resolve(edge.running?.dispose()).finally(() => process.exit(0));
  });
  const bundling = openEdgeBundle(settings.cache, () =>
    tellLauncher({
      type: "progress",
      text: "bundling the edge (first start, or its sources changed)",
    }),
  );
  limitHeap(process.env);
  // While wrangler bundles, if it has to.
  const miniflare = loadMiniflare();
  const options = miniflareOptions(miniflare, await bundling, { ...settings, port: workerdPort });
  followWorkerd(edge);
  edge.running = new miniflare.Miniflare(options);
  await edge.running.ready;
  await openHangUpRelay(settings.port, workerdPort);
  tellLauncher({ type: "listening", workerdPort });
  flushCompileCache();
}

await main();
