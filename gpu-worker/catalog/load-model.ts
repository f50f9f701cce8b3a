/**
 * From a checkpoint's files to a model ready to run: the form is chosen, the graph taken from the cache or built, the
 * session opened and warmed up, so that the first request is as fast as the next. Where int8 is faster, a model's two
 * forms are compared the first time, and it is f32 unless they answer alike.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import type { Provider, Runtime, Session } from "../runtime/session.ts";
import { shareThreads } from "../runtime/share-threads.ts";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { buildGraph, builderVersion } from "../graphs/build-graph.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { batchTokensMax, type DeviceMemory } from "./device-memory.ts";
import type { Form, FormChoice } from "../compute-form/form-choice.ts";
import { graphBytes } from "../graphs/graph-bytes.ts";
import type { GraphCache } from "../graphs/graph-cache.ts";
import type { LoadedModel } from "./loaded-model.ts";
import {
  type Int8Figures,
  isAccurate,
  type KeptFigures,
  measureAccuracy,
} from "../compute-form/int8-accuracy.ts";
import { feedsOf, measureCosts } from "../graphs/measure-costs.ts";
import { type FilesDigest, modelDigest } from "../checkpoints/model-digest.ts";
import { runMemoryOf } from "./run-memory.ts";
import type { Watch } from "./model-entry.ts";
import { servedOnnx } from "../graphs/onnx-session.ts";
import { loadedSentence } from "../checkpoints/sentence-stages.ts";

export type Hardware = {
  runtime: Runtime;
  provider: Provider;
  /** Of the GPU. Null or absent: the CPU computes. */
  deviceMemory?: DeviceMemory | null;
};

export type LoaderTools = Hardware & {
  forms: FormChoice;
  graphs: GraphCache;
  figures: KeptFigures;
  /** Bytes that all loaded models may take together. */
  modelsMemory: number;
  /** Bytes that all runs may take together. */
  runsMemory: number;
  log: {
    info: (fields: object, message: string) => void;
    warn: (fields: object, message: string) => void;
  };
};

export type ModelFiles = { id: string; checkpoint: Checkpoint; files: FilesDigest };

export type ModelLoader = {
  /**
   * What the model will take of memory, about, before its weights are read.
   * @throws Error where that is more than there is for all models
   */
  bytesNeeded(checkpoint: Checkpoint, signal: AbortSignal): Promise<number>;
  /** Null: the form is chosen when the model is first loaded. */
  digest(files: FilesDigest, signal: AbortSignal): Promise<string | null>;
  load(model: ModelFiles, watch: Watch): Promise<LoadedModel>;
};

/** Tokens of the run that warms a session up. */
const warmUpTokens = 16;

async function warmUp(session: Session, signal: AbortSignal): Promise<void> {
  await session.run(feedsOf(session, 1, warmUpTokens), { signal });
}

/** What the folder says of how it is served. */
function serving({ tasks, limits, head, sentence, entityModel }: Checkpoint) {
  return {
    tasks,
    limits,
    head,
    entityModel,
    sentence: sentence === null ? null : loadedSentence(sentence),
  };
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
  // A device computes one run at a time.
  const concurrency = provider === "cpu" ? shareThreads(runtime.threads).concurrency : 1;
  const sharing = { threads: "shared", concurrency } as const;
  const bytes = await bytesOf({ format, ...model }, file, hardware);
  const bound = hardware.deviceMemory ? { deviceMemoryBytes: bytes } : {};
  const opened = await runtime.load({ path: file }, { ...sharing, provider, signal, ...bound });
  try {
    const session = format === "onnx" ? await servedOnnx(opened, model, hardware) : opened;
    await warmUp(session, signal);
    return session;
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/** The one place where a model is refused for its size. */
function expectRoom(bytes: number, { modelsMemory }: Pick<LoaderTools, "modelsMemory">): void {
  if (bytes <= modelsMemory) return;
  const [needed, given] = [Math.ceil(bytes / 2 ** 20), Math.floor(modelsMemory / 2 ** 20)];
  throw new Error(
    `it needs ${needed} MiB of memory, and models may take ${given} MiB here. Use a smaller model`,
    { cause: new Error("the bound is LLM_OS_MODEL_MEMORY_MIB, or half of the memory: raise it") },
  );
}

/** What a session of that file keeps in memory, about. A folder of ready-made files may hold more than the one that runs. */
async function bytesOf(
  { format, sizeBytes }: Pick<Checkpoint, "format" | "sizeBytes">,
  file: string,
  { deviceMemory }: Pick<Hardware, "deviceMemory">,
): Promise<number> {
  const weights = format === "onnx" ? sizeBytes : await folderBytes(path.dirname(file));
  return weights + (deviceMemory?.runBytes ?? 0);
}

/** Graphs and their names: what of a model depends on the form. */
function graphsOf(tools: LoaderTools) {
  const { runtime, provider, graphs, log } = tools;

  // Whether weights are shifted changes the graph but no answer: it is part of the graph's key, not of the digest.
  function digestIn({ form }: Form, files: FilesDigest): string {
    const computed = files.format === "onnx" ? files.format : form;
    return modelDigest(files, `${computed} ${provider}`, builderVersion);
  }

  function keyOf({ form, saturates }: Form, digest: string): string {
    const shifted = saturates ? "-shifted" : "";
    return `${digest.slice(0, 32)}-${form}${shifted}-${provider}-${builderVersion}`;
  }

  async function sessionOf(
    checkpoint: Checkpoint,
    { form, digest }: { form: Form; digest: string },
    { onStep, signal }: Watch,
  ): Promise<{ session: Session; file: string }> {
    const { format, weightsFile } = checkpoint;
    const open = async (file: string) => {
      expectRoom(await bytesOf(checkpoint, file, tools), tools);
      return openSession(file, checkpoint, tools, signal);
    };
    if (format === "onnx") return { session: await open(weightsFile), file: weightsFile };
    const key = keyOf(form, digest);
    const build = async (file: string) => {
      onStep({ doing: "loading", words: "Compiling for this machine", progress: 0 });
      await buildGraph(checkpoint, form, { file, runtime, signal });
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

  return { digestIn, keyOf, sessionOf };
}

function accepted(reduced: Form, figures: Int8Figures): Form {
  if (reduced.form === "f32") return reduced;
  return isAccurate(figures, reduced.form) ? reduced : { ...reduced, form: "f32" };
}

/** By all that shapes the answers, since a folder may pool the same weights in another way. */
function figuresKey({ files }: FilesDigest, { form, saturates }: Form): string {
  return `${files}${form === "f16" ? "-f16" : ""}${saturates ? "-shifted" : ""}-${builderVersion}`;
}

/** Which form a model is computed in. */
function formsOf(tools: LoaderTools, { digestIn, keyOf, sessionOf }: ReturnType<typeof graphsOf>) {
  const { forms: choice, graphs, figures, log } = tools;

  /** A ready-made file has no form to choose. */
  async function formHere(
    { format }: Pick<FilesDigest, "format">,
    signal: AbortSignal,
  ): Promise<Form> {
    return format === "safetensors" ? choice.choose(signal) : { form: "f32", saturates: false };
  }

  /** Null: a reduced form is faster, and whether it is accurate enough has not been measured. */
  async function formKnown(files: FilesDigest, signal: AbortSignal): Promise<Form | null> {
    const form = await formHere(files, signal);
    if (form.form === "f32" || choice.pinned) return form;
    // What ships with its figures was measured in int8.
    const shipped = form.form === "int8" ? files.weights : "";
    const kept = await figures.find(shipped, figuresKey(files, form));
    return kept === null ? null : accepted(form, kept);
  }

  async function formMeasured(
    { id, checkpoint, files }: ModelFiles,
    tokenizer: Tokenizer,
    watch: Watch,
  ): Promise<Form> {
    const reduced = await formHere(files, watch.signal);
    const { head, sentence, limits } = checkpoint;
    const compared = { head, isSentence: sentence !== null, maxTokens: limits.maxTokens };
    const open = async (form: Form) => {
      const using = { form, digest: digestIn(form, files) };
      return (await sessionOf(checkpoint, using, watch)).session;
    };
    const f32: Form = { ...reduced, form: "f32" };
    const forms = { f32: () => open(f32), int8: () => open(reduced) };
    const reading = { compared, tokenizer, signal: watch.signal };
    const measured = await measureAccuracy(forms, reading);
    await figures.keep(figuresKey(files, reduced), measured);
    const form = accepted(reduced, measured);
    const words = form === reduced ? "accurate enough" : "too inaccurate: f32 is used";
    log.info({ model: id, ...measured }, `the model in ${reduced.form} is ${words}`);
    const refused = form === reduced ? f32 : reduced;
    await graphs.discard(keyOf(refused, digestIn(refused, files)));
    return form;
  }

  /** The safe form where nothing can be measured. A checkpoint that cannot be served fails in it too, and says why. */
  async function formFound(...model: Parameters<typeof formMeasured>): Promise<Form> {
    const [{ id }, , { signal }] = model;
    try {
      return await formMeasured(...model);
    } catch (error) {
      signal.throwIfAborted();
      log.warn(
        { error, model: id },
        "the model's accuracy in a reduced form could not be measured",
      );
      return { form: "f32", saturates: false };
    }
  }

  return { formHere, formKnown, formFound };
}

export function modelLoader(tools: LoaderTools): ModelLoader {
  const modelGraphs = graphsOf(tools);
  const { digestIn, sessionOf } = modelGraphs;
  const { formHere, formKnown, formFound } = formsOf(tools, modelGraphs);
  return {
    async bytesNeeded(checkpoint, signal) {
      const bytes = graphBytes(checkpoint, await formHere(checkpoint, signal));
      expectRoom(bytes, tools);
      return bytes;
    },
    async digest(files, signal) {
      const form = await formKnown(files, signal);
      return form === null ? null : digestIn(form, files);
    },
    async load(model, watch) {
      const { id, checkpoint, files } = model;
      const known = await formKnown(files, watch.signal);
      const tokenizer = await loadTokenizer(checkpoint.folder, checkpoint);
      checkTokenizer(tokenizer, checkpoint);
      const form = known ?? (await formFound(model, tokenizer, watch));
      const digest = digestIn(form, files);
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
        memory: runMemoryOf(checkpoint, form.form, tools.runsMemory / session.concurrency),
        tokenizer,
        upstreamDigest: checkpoint.derivedFrom ?? files.weights,
        ...(tools.deviceMemory && {
          batchTokensMax: batchTokensMax(tools.deviceMemory, checkpoint.limits),
        }),
        bytes: await bytesOf(checkpoint, file, tools),
        dispose: async () => {
          await session.release();
          await returnRunMemory(tools.runtime);
        },
      };
    },
  };
}
