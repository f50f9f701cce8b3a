/**
 * From a model's folder to a model ready to run. Of an encoder the form is chosen, the graph taken from the cache or
 * built, and the session opened; an adapter takes its base's (load-adapter.ts), a decoder has its own way
 * (load-decoder.ts). Where int8 is faster, an encoder's two forms are compared the first time, and it is f32 unless
 * they answer alike.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { takesAdapters } from "../architectures/encoder.ts";
import type { Adapter } from "../checkpoints/adapter-folder.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import { isAdapter, type ModelFolder } from "../checkpoints/model-folder.ts";
import { sentenceVectors } from "../checkpoints/sentence-stages.ts";
import type { Form } from "../compute-form/form-choice.ts";
import { ModelForms } from "../compute-form/model-forms.ts";
import { buildGraph } from "../graphs/build-graph.ts";
import { graphBytes } from "../graphs/graph-bytes.ts";
import {
  builderVersion,
  decoderDigestIn,
  digestIn,
  graphKey,
  loraGraphKey,
} from "../graphs/graph-key.ts";
import { measureCosts } from "../graphs/measure-costs.ts";
import { openLoraSession, openSession } from "../graphs/open-session.ts";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import type { Session } from "../runtime/session.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { batchTokensMax } from "./device-memory.ts";
import type { Base } from "./adapter-base.ts";
import { adapterDigest, loadAdapter } from "./load-adapter.ts";
import { decoderBytesNeeded, loadDecoder } from "./load-decoder.ts";
import type { Watch } from "./load-step.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import type { LoadedEncoder, LoadedModel } from "./loaded-model.ts";
import { LoraBase } from "./lora-base.ts";
import { openCachedGraph } from "./open-cached-graph.ts";
import { runMemoryOf } from "./run-memory.ts";
import { verifiedDigest } from "./verified-digest.ts";

/** The other models of the catalog, as far as a load has to do with them. */
export type OtherModels = {
  /** @throws Error where no model here can be it */
  baseOf(adapter: Adapter): Base;
  /** Unloads the adapter of that base that was used longest ago. @returns false: all are in use */
  unloadIdleAdapter(base: string): Promise<boolean>;
  /** Loads once others have made room for so many bytes. */
  withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel>;
};

type IdentifiedCheckpoint = { id: string; checkpoint: Checkpoint; files: FilesDigest };
type OpenedGraph = { session: Session; file: string };

export class ModelLoader {
  readonly #tools: LoaderDependencies;
  readonly #others: OtherModels;
  readonly #forms: ModelForms;

  constructor(tools: LoaderDependencies, others: OtherModels) {
    const { forms: choice, figures, log } = tools;
    this.#tools = tools;
    this.#others = others;
    this.#forms = new ModelForms({ choice, figures, builderVersion, log });
  }

  /** Null: the form is chosen when the model, or an adapter's base, is first loaded. @throws as `load` */
  async digest(model: ModelFolder, signal: AbortSignal): Promise<string | null> {
    if (isAdapter(model)) {
      const base = await this.#others.baseOf(model.adapter).digest(signal);
      return base === null ? null : adapterDigest(model, base, signal);
    }
    await this.#bytesNeeded(model, signal);
    const files = await verifiedDigest(model, this.#tools.digests, signal);
    if (model.kind === "decoder") {
      const form = await this.#tools.decoderForms.known(model, files);
      const { kvCache, provider } = this.#tools;
      return form === null ? null : decoderDigestIn({ form, kvCache }, files, provider);
    }
    const form = await this.#forms.known(files, signal);
    return form === null ? null : digestIn(form, files, this.#tools.provider);
  }

  /** @throws Error whose message completes "the model cannot be served: …"; the signal's reason */
  async load(id: string, model: ModelFolder, watch: Watch): Promise<LoadedModel> {
    const { signal } = watch;
    if (isAdapter(model)) {
      const lease = await this.#others.baseOf(model.adapter).lease(signal);
      const withRoom = this.#others.withRoom.bind(this.#others);
      const unloadIdle = () => this.#others.unloadIdleAdapter(lease.model.id);
      return loadAdapter({ id, model }, { lease, unloadIdle, withRoom, signal });
    }
    const bytes = await this.#bytesNeeded(model, signal);
    const files = await verifiedDigest(model, this.#tools.digests, signal);
    return this.#others.withRoom(bytes, () =>
      model.kind === "decoder"
        ? loadDecoder({ id, checkpoint: model, files }, this.#tools, watch)
        : this.#loadEncoder({ id, checkpoint: model, files }, watch),
    );
  }

  async #loadEncoder(model: IdentifiedCheckpoint, watch: Watch): Promise<LoadedEncoder> {
    const { id, checkpoint, files } = model;
    const { runtime, provider, deviceMemory, graphs, runsMemory } = this.#tools;
    const { tasks, limits, head, sentence, entityModel, derivedFrom } = checkpoint;
    const known = await this.#forms.known(files, watch.signal);
    const tokenizer = await loadTokenizer(checkpoint.folder, checkpoint);
    checkTokenizer(tokenizer, checkpoint);
    const open = async (form: Form) => (await this.#openGraph(model, form, watch)).session;
    const discard = (form: Form) =>
      graphs.discard(graphKey(form, digestIn(form, files, provider), provider));
    const form =
      known ?? (await this.#forms.measure({ ...model, tokenizer, open, discard }, watch.signal));
    const { session, file } = await this.#openGraph(model, form, watch);
    await expectShapes(session, checkpoint);
    const { maxTokens } = limits;
    const measuring = { maxTokens, now: () => performance.now(), signal: watch.signal };
    const bytes = await this.#bytesOf(checkpoint, file);
    const lora = this.#loraOf(model, form);
    return {
      kind: "encoder",
      id,
      digest: digestIn(form, files, provider),
      form: form.form,
      tasks,
      limits,
      head,
      sentence: sentence === null ? null : sentenceVectors(sentence),
      entityModel,
      wordShapes: checkpoint.wordShapes,
      tokenizer,
      session,
      costs: await measureCosts(session, measuring),
      memory: runMemoryOf(checkpoint, form.form, runsMemory / session.concurrency),
      ...(deviceMemory && { batchTokensMax: batchTokensMax(deviceMemory, limits) }),
      upstreamDigest: derivedFrom ?? files.weights,
      lora,
      get bytes() {
        return bytes + (lora?.base.bytes ?? 0);
      },
      dispose: async () => {
        await session.release();
        await returnRunMemory(runtime);
      },
    };
  }

  /** Adapters are for encoders without a head, built here, in a form that is known. */
  #loraOf(model: IdentifiedCheckpoint, form: Form): LoadedEncoder["lora"] {
    const { checkpoint } = model;
    const { format, head, config } = checkpoint;
    if (format === "onnx" || head.name !== "none" || !takesAdapters(config)) return null;
    const base = new LoraBase({
      bytesNeeded: () => graphBytes(checkpoint, form),
      open: (signal) => this.#openLora(model, form, signal),
    });
    return { base, checkpoint };
  }

  async #openLora({ checkpoint, files }: IdentifiedCheckpoint, form: Form, signal: AbortSignal) {
    const { runtime, provider, deviceMemory } = this.#tools;
    const key = loraGraphKey(graphKey(form, digestIn(form, files, provider), provider));
    return openCachedGraph(key, {
      tools: this.#tools,
      watch: { onStep: () => undefined, signal },
      build: (file) => buildGraph(checkpoint, form, { file, lora: true, runtime, signal }),
      open: async (file) => {
        const bytes = await this.#bytesOf(checkpoint, file);
        const deviceMemoryBytes = deviceMemory === null ? null : bytes;
        const options = { runtime, provider, deviceMemoryBytes, signal };
        return { session: await openLoraSession(file, options), bytes };
      },
    });
  }

  async #openGraph(
    { checkpoint, files }: IdentifiedCheckpoint,
    form: Form,
    watch: Watch,
  ): Promise<OpenedGraph> {
    const { runtime, provider } = this.#tools;
    const { signal } = watch;
    if (checkpoint.format === "onnx")
      return this.#openFile(checkpoint, checkpoint.weightsFile, signal);
    const key = graphKey(form, digestIn(form, files, provider), provider);
    return openCachedGraph(key, {
      tools: this.#tools,
      watch,
      build: (file) => buildGraph(checkpoint, form, { file, runtime, signal }),
      open: (file) => this.#openFile(checkpoint, file, signal),
    });
  }

  async #openFile(checkpoint: Checkpoint, file: string, signal: AbortSignal): Promise<OpenedGraph> {
    const { runtime, provider, deviceMemory } = this.#tools;
    const bytes = await this.#bytesOf(checkpoint, file);
    this.#expectRoom(bytes);
    const deviceMemoryBytes = deviceMemory === null ? null : bytes;
    const options = { runtime, provider, deviceMemoryBytes, signal };
    return { session: await openSession(file, checkpoint, options), file };
  }

  /** What the model will take of memory, about, before its weights are read. @throws Error where there is less */
  async #bytesNeeded(
    checkpoint: Checkpoint | DecoderCheckpoint,
    signal: AbortSignal,
  ): Promise<number> {
    const bytes =
      checkpoint.kind === "decoder"
        ? decoderBytesNeeded(checkpoint, this.#tools)
        : graphBytes(checkpoint, await this.#forms.faster(checkpoint, signal));
    this.#expectRoom(bytes);
    return bytes;
  }

  /** The one place where a model is refused for its size. */
  #expectRoom(bytes: number): void {
    const { modelsMemory } = this.#tools;
    if (bytes <= modelsMemory) return;
    const [needed, given] = [Math.ceil(bytes / 2 ** 20), Math.floor(modelsMemory / 2 ** 20)];
    throw new Error(
      `it needs ${needed} MiB of memory, and models may take ${given} MiB here. Use a smaller model`,
      { cause: new Error("the bound is LLM_OS_MODEL_MEMORY_MIB, or half of the memory: raise it") },
    );
  }

  /**
   * What a session of that file keeps in memory, about. A folder of ready-made files may hold more than the one that
   * runs.
   */
  async #bytesOf({ format, sizeBytes }: Checkpoint, file: string): Promise<number> {
    const weights = format === "onnx" ? sizeBytes : await folderBytes(path.dirname(file));
    return weights + (this.#tools.deviceMemory?.runBytes ?? 0);
  }
}

/** @throws Error where the weights hold a table of word shapes unsaid, or none where one is said to be */
async function expectShapes(session: Session, { wordShapes }: Checkpoint): Promise<void> {
  const reads = session.inputs.some(({ name }) => name === "word_shapes");
  if (reads === wordShapes) return;
  await session.release();
  throw new Error(
    reads
      ? "its weights hold a table of word shapes: llm-os.json has to say word_shapes: true"
      : "llm-os.json says word_shapes, but its weights hold no table of them",
  );
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(path.join(folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
