/**
 * From a checkpoint's files to a model ready to run: the form is chosen, the graph taken from the cache or built, the
 * session opened and warmed up, so that the first request is as fast as the next.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import type { Provider, Runtime, Session } from "../runtime/session.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { buildGraph, builderVersion } from "./build-graph.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Form, FormChoice } from "./form-choice.ts";
import type { GraphCache } from "./graph-cache.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { feedsOf, measureCosts } from "./measure-costs.ts";
import { type FilesDigest, modelDigest } from "./model-digest.ts";
import type { Watch } from "./model-entry.ts";
import { onnxSession } from "./onnx-session.ts";

export type Hardware = {
  runtime: Runtime;
  provider: Provider;
  /** Of all models' runs together. */
  threads: number;
};

/** Runs of one model side by side; more gain nothing, and each would find fewer texts to choose its batch from. */
const concurrencyMax = 4;

/**
 * How the threads of a CPU are used best: several runs side by side, each of few threads. On two cores, two runs of one
 * thread gave 8 % more texts a second than one run of two, and at half the batch size, where texts are padded less.
 */
export function shareThreads({ provider, threads }: Pick<Hardware, "provider" | "threads">) {
  const concurrency = provider === "cpu" ? Math.min(threads, concurrencyMax) : 1;
  return { concurrency, threads: Math.floor(threads / concurrency) };
}

export type LoaderTools = Hardware & {
  forms: FormChoice;
  graphs: GraphCache;
  log: { warn: (fields: object, message: string) => void };
};

export type ModelFiles = { id: string; checkpoint: Checkpoint; files: FilesDigest };

export type ModelLoader = {
  digest(files: FilesDigest, signal: AbortSignal): Promise<string>;
  load(model: ModelFiles, watch: Watch): Promise<LoadedModel>;
};

/** Tokens of the run that warms a session up. */
const warmUpTokens = 16;

async function warmUp(session: Session, signal: AbortSignal): Promise<void> {
  await session.run(feedsOf(session, 1, warmUpTokens), { signal });
}

/** What the folder says of how it is served. */
function serving({ tasks, limits, head, sentence, entityModel }: Checkpoint) {
  if (sentence === null) return { tasks, limits, head, sentence, entityModel };
  const { pooling, normalize, prompts } = sentence;
  return { tasks, limits, head, entityModel, sentence: { pooling, normalize, prompts } };
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(path.join(folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function openSession(
  file: string,
  { format, ...model }: Checkpoint,
  hardware: Hardware,
  signal: AbortSignal,
): Promise<Session> {
  const { runtime, provider } = hardware;
  const opened = await runtime.load(
    { path: file },
    { ...shareThreads(hardware), provider, signal },
  );
  try {
    const session = format === "onnx" ? onnxSession(opened, model) : opened;
    await warmUp(session, signal);
    return session;
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/** What a session of that file keeps in memory, about. A folder of ready-made files may hold more than the one that runs. */
async function bytesOf({ format, sizeBytes }: Checkpoint, file: string): Promise<number> {
  return format === "onnx" ? sizeBytes : folderBytes(path.dirname(file));
}

export function modelLoader(tools: LoaderTools): ModelLoader {
  const { runtime, provider, threads, forms, graphs, log } = tools;

  /** The int8 kernels are a CPU's: elsewhere weights are computed in f32. A ready-made file has no form to choose. */
  async function formHere({ format }: FilesDigest, signal: AbortSignal): Promise<Form> {
    const free = provider === "cpu" && format === "safetensors";
    return free ? forms.choose(signal) : { form: "f32", saturates: false };
  }

  // Whether weights are shifted changes the graph but no answer: it is part of the graph's key, not of the digest.
  function digestIn({ form }: Form, files: FilesDigest): string {
    const computed = files.format === "onnx" ? files.format : form;
    return modelDigest(files, `${computed} ${provider}`, builderVersion);
  }

  async function sessionOf(
    checkpoint: Checkpoint,
    { form, digest }: { form: Form; digest: string },
    { onStep, signal }: Watch,
  ): Promise<{ session: Session; file: string }> {
    const { format, weightsFile } = checkpoint;
    const open = (file: string) => openSession(file, checkpoint, tools, signal);
    if (format === "onnx") return { session: await open(weightsFile), file: weightsFile };
    const shifted = form.saturates ? "-shifted" : "";
    const key = `${digest.slice(0, 32)}-${form.form}${shifted}-${provider}-${builderVersion}`;
    const build = async (file: string) => {
      onStep({ doing: "loading", words: "Compiling for this machine", progress: 0 });
      await buildGraph(checkpoint, form, { file, runtime, threads, signal });
      onStep({ doing: "loading", words: "Loading", progress: 0.5 });
    };
    const cached = await graphs.get(key, build, signal);
    try {
      return { session: await open(cached.file), file: cached.file };
    } catch (error) {
      signal.throwIfAborted();
      if (cached.built) throw error;
      log.warn({ error, key }, "a compiled graph could not be used and is built again");
      await graphs.discard(key);
      const { file } = await graphs.get(key, build, signal);
      return { session: await open(file), file };
    }
  }

  return {
    digest: async (files, signal) => digestIn(await formHere(files, signal), files),
    async load({ id, checkpoint, files }, watch) {
      const form = await formHere(files, watch.signal);
      const digest = digestIn(form, files);
      const tokenizer = await loadTokenizer(checkpoint.folder);
      const { session, file } = await sessionOf(checkpoint, { form, digest }, watch);
      const { maxTokens } = checkpoint.limits;
      const measuring = { maxTokens, now: () => performance.now(), signal: watch.signal };
      return {
        ...serving(checkpoint),
        id,
        digest,
        form: form.form,
        session,
        costs: await measureCosts(session, measuring),
        tokenizer,
        upstreamDigest: checkpoint.derivedFrom ?? files.weights,
        bytes: await bytesOf(checkpoint, file),
        dispose: () => session.release(),
      };
    },
  };
}
