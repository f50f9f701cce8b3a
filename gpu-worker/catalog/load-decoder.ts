/**
 * From a decoder's folder to a model ready to generate: the graph taken from the cache or built, the session opened,
 * the tokenizer made. Its keys and values take their memory from the session when texts are there.
 */
import { adapterForm, decoderForms } from "../architectures/decoder-form.ts";
import type { DecoderComputing, DecoderForm } from "../architectures/decoder-form.ts";
import type { LayerReach } from "../architectures/kept-reach.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import {
  type DecoderCheckpoint,
  decoderTokenizerFiles,
} from "../checkpoints/decoder-checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import { isAccurateDecoder } from "../compute-form/decoder-accuracy.ts";
import { fewestRows } from "../compute-form/fewest-rows.ts";
import { measureKvLoss, measureKvReach } from "../compute-form/kv-cache-reach.ts";
import { buildDecoderGraph } from "../graphs/build-decoder.ts";
import { decoderGraphBytes } from "../graphs/graph-bytes.ts";
import type { DecoderLoraSession } from "../graphs/decoder-lora-session.ts";
import {
  decoderDigestIn,
  decoderGraphKey,
  loraGraphKey,
  stepsGraphKey,
} from "../graphs/graph-key.ts";
import { expectBinding, openDecoder, openLoraDecoder, openSteps } from "../graphs/open-decoder.ts";
import { openLogitBlocks } from "../graphs/open-logit-blocks.ts";
import type { PromptedSession } from "../graphs/prompted-session.ts";
import type { SessionOptions } from "../graphs/open-session.ts";
import type { CapturingSession } from "../model/decoder-model.ts";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import type { LoadedSession, Session } from "../runtime/session.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { keyValueBytes } from "./key-value-memory.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import type { Watch } from "./load-step.ts";
import type { LoadedDecoder } from "./loaded-model.ts";
import { LoraBase } from "./lora-base.ts";
import { openCachedGraph } from "./open-cached-graph.ts";

export type IdentifiedDecoder = { id: string; checkpoint: DecoderCheckpoint; files: FilesDigest };

type Bounds = Pick<LoaderDependencies, "modelsMemory" | "deviceMemory" | "kvCache">;

/** Of a second session for steps that are captured: on a GPU, where both fit; else 0. */
function stepsBytes(checkpoint: DecoderCheckpoint, form: DecoderForm, bounds: Bounds): number {
  if (bounds.deviceMemory === null) return 0;
  const bytes = decoderGraphBytes(checkpoint.parameters, form) + bounds.deviceMemory.runBytes;
  return decoderBytes(checkpoint, form, bounds) + bytes <= bounds.modelsMemory ? bytes : 0;
}

/** What the decoder takes of memory in a form, about: its weights, and keys and values. */
function decoderBytes(checkpoint: DecoderCheckpoint, form: DecoderForm, bounds: Bounds): number {
  const graph = decoderGraphBytes(checkpoint.parameters, form);
  return graph + cacheBytes(checkpoint, bounds) + (bounds.deviceMemory?.runBytes ?? 0);
}

/** Of the keys and values of all texts. */
function cacheBytes(
  { keyValues: shape, limits }: DecoderCheckpoint,
  { modelsMemory, kvCache }: Bounds,
): number {
  return keyValueBytes({ shape, kvCache }, limits.maxTokens, modelsMemory);
}

/** An int8 cache is measured beside the same decoder that keeps floats. */
function measuringBytes({ parameters }: DecoderCheckpoint, form: DecoderForm, { kvCache }: Bounds) {
  return kvCache === "float" ? 0 : decoderGraphBytes(parameters, form);
}

/** Forms are compared side by side: null where they do not fit so. */
function comparingBytes(
  { parameters }: DecoderCheckpoint,
  forms: readonly DecoderForm[],
  modelsMemory: number,
): number | null {
  const bytes = forms.reduce((sum, form) => sum + decoderGraphBytes(parameters, form), 0);
  return bytes <= modelsMemory ? bytes : null;
}

/**
 * What it takes to load the decoder, about, before its form is known.
 * @throws Error for a form that is set and not computed here
 */
export function decoderBytesNeeded(
  checkpoint: DecoderCheckpoint,
  tools: LoaderDependencies,
): number {
  const forms = tools.decoderForms.candidates(checkpoint);
  const bytes = forms.map(
    (form) =>
      decoderBytes(checkpoint, form, tools) +
      stepsBytes(checkpoint, form, tools) +
      measuringBytes(checkpoint, form, tools),
  );
  const smallest = Math.min(...bytes);
  return Math.max(smallest, comparingBytes(checkpoint, forms, tools.modelsMemory) ?? 0);
}

/** Kept, or measured now; the smallest where the machine cannot hold the forms side by side. */
async function formOf(model: IdentifiedDecoder, opening: Opening): Promise<DecoderForm> {
  const { id, checkpoint, files } = model;
  const { tools, tokenizer, watch } = opening;
  const { decoderForms: choice, modelsMemory, graphs, log } = tools;
  const known = await choice.known(checkpoint, files);
  if (known !== null) return known;
  const forms = choice.candidates(checkpoint);
  if (comparingBytes(checkpoint, forms, modelsMemory) === null) {
    const smallest = forms.at(-1) ?? "f32";
    log.warn({ model: id, form: smallest }, "the decoder is too large here to compare its forms");
    return smallest;
  }
  const measured = {
    id,
    checkpoint,
    files,
    tokenizer,
    open: (form: DecoderForm) => openGraph(model, asFloats(form), opening),
    discard: (form: DecoderForm) => graphs.discard(keyOf(files, asFloats(form), opening)),
  };
  return choice.measure(measured, watch.signal);
}

/** Whether a form that it may be computed in has to mind it, and this machine does. */
async function saturatesHere(
  checkpoint: DecoderCheckpoint,
  tools: LoaderDependencies,
  signal: AbortSignal,
): Promise<boolean> {
  const forms = tools.decoderForms.candidates(checkpoint);
  if (!forms.some((form) => decoderForms[form].rotated)) return false;
  return (await tools.forms.choose(signal)).saturates;
}

/** The tokenizer's own end token is one, whatever the other files name. */
function endTokensOf({ endTokens, chatTemplate }: DecoderCheckpoint, tokenizer: Tokenizer) {
  const own = tokenizer.idOfToken(chatTemplate?.eosToken ?? "");
  return new Set(own === null ? endTokens : [...endTokens, own]);
}

/** @throws Error whose message completes "the model cannot be served: …"; the signal's reason */
export async function loadDecoder(
  { id, checkpoint, files }: IdentifiedDecoder,
  tools: LoaderDependencies,
  watch: Watch,
): Promise<LoadedDecoder> {
  const { runtime, provider, kvCache } = tools;
  const { tasks, limits, keyValues, queryHeads, chatTemplate, derivedFrom } = checkpoint;
  expectBinding(runtime);
  const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
  checkTokenizer(tokenizer, checkpoint);
  const model = { id, checkpoint, files };
  const saturates = await saturatesHere(checkpoint, tools, watch.signal);
  const opening = { tools, tokenizer, watch, saturates };
  const form = await formOf(model, opening);
  const computing = { form, kvCache };
  const bytes = decoderBytes(checkpoint, form, tools) + stepsBytes(checkpoint, form, tools);
  const session = await openGraph(model, computing, opening);
  const { rowsMin, logitBlocks } = await prepared(session, form, opening);
  const steps = await openCapturing(model, computing, opening);
  const floats = { ...tools, kvCache: "float" as const };
  const loraForm = adapterForm(form);
  const loraBytes = decoderBytes(checkpoint, loraForm, floats);
  const lora = new LoraBase({
    bytesNeeded: () => loraBytes,
    open: async (signal) => {
      const watched = { ...opening, watch: { onStep: () => undefined, signal } };
      return { session: await openLora(model, loraForm, watched), bytes: loraBytes };
    },
  });
  return {
    kind: "decoder",
    id,
    digest: decoderDigestIn(computing, files, provider),
    form,
    tasks,
    limits,
    tokenizer,
    session,
    ...(logitBlocks && { logitBlocks }),
    ...(steps && { steps }),
    rowsMin,
    keyValues,
    queryHeads,
    keyValueBytes: cacheBytes(checkpoint, tools),
    endTokens: endTokensOf(checkpoint, tokenizer),
    chatTemplate,
    upstreamDigest: derivedFrom ?? files.weights,
    lora: { base: lora, form: loraForm, keyValueBytes: cacheBytes(checkpoint, floats) },
    prompts: session,
    get bytes() {
      return bytes + lora.bytes;
    },
    dispose: async () => {
      const sessions = [session, logitBlocks, steps?.session];
      await Promise.all(sessions.map((each) => each?.release()));
      await returnRunMemory(runtime);
    },
  };
}

/** What else its engine needs, see DecoderModel. The session is released where it cannot be had. */
async function prepared(
  session: LoadedSession,
  form: DecoderForm,
  { tools: { runtime }, watch: { signal } }: Opening,
) {
  try {
    const rowsMin = await fewestRows(session, form, signal);
    return { rowsMin, logitBlocks: await openLogitBlocks(session, runtime) };
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** For steps that are captured; null where they cannot be: all steps are plain runs then. */
async function openCapturing(
  model: IdentifiedDecoder,
  computing: DecoderComputing,
  opening: Opening,
): Promise<CapturingSession | null> {
  const { id, checkpoint, files } = model;
  const { tools, watch, saturates } = opening;
  const { form } = computing;
  const bytes = stepsBytes(checkpoint, form, tools);
  if (bytes === 0) return null;
  const onLost = (reason: string) =>
    tools.log.warn({ model: id, reason }, "a decoder's steps are not captured as CUDA graphs");
  const { runtime, provider } = tools;
  const { signal } = watch;
  try {
    const session = await openCachedGraph(stepsGraphKey(keyOf(files, computing, opening)), {
      tools,
      watch,
      build: (file) =>
        buildDecoderGraph(checkpoint, form, { file, saturates, steps: true, signal }),
      open: (file) => openSteps(file, { runtime, provider, deviceMemoryBytes: bytes, signal }),
    });
    return { session, onLost };
  } catch (error) {
    signal.throwIfAborted();
    onLost(error instanceof Error ? error.message : String(error));
    return null;
  }
}

type Opening = {
  tools: LoaderDependencies;
  tokenizer: Tokenizer;
  watch: Watch;
  /** See `DecoderOptions`. */
  saturates: boolean;
};

/** As the form computes keys and values. */
const asFloats = (form: DecoderForm): DecoderComputing => ({ form, kvCache: "float" });

function keyOf(
  files: FilesDigest,
  computing: DecoderComputing,
  { tools: { provider }, saturates }: Pick<Opening, "tools" | "saturates">,
): string {
  const digest = decoderDigestIn(computing, files, provider);
  return decoderGraphKey({ form: computing.form, saturates }, digest, provider);
}

function openGraph(
  model: IdentifiedDecoder,
  computing: DecoderComputing,
  opening: Opening,
): Promise<PromptedSession> {
  const { checkpoint, files } = model;
  const { tools, watch, saturates } = opening;
  const { signal } = watch;
  const options = sessionOptions(checkpoint, computing.form, opening);
  const { form, kvCache } = computing;
  return openCachedGraph(keyOf(files, computing, opening), {
    tools,
    watch,
    build: async (file) => {
      const building = { file, saturates, signal };
      if (kvCache === "float") return buildDecoderGraph(checkpoint, form, building);
      await withFloats(model, form, opening, async (floats, reach) => {
        await buildDecoderGraph(checkpoint, form, { ...building, reach });
        await tellKvLoss(model, floats, { rounded: await openDecoder(file, options), opening });
      });
    },
    open: (file) => openDecoder(file, options),
  });
}

/**
 * The graph that takes adapters, with keys and values of its own. They stay floats: what was measured is how far those
 * of the base reach, and an adapter's may reach further.
 */
function openLora(
  { checkpoint, files }: IdentifiedDecoder,
  form: DecoderForm,
  opening: Omit<Opening, "tokenizer">,
): Promise<DecoderLoraSession> {
  const { tools, watch, saturates } = opening;
  const { signal } = watch;
  const { config, weights } = openDecoderWeights(checkpoint);
  weights.close();
  return openCachedGraph(loraGraphKey(keyOf(files, asFloats(form), opening)), {
    tools,
    watch,
    build: (file) => buildDecoderGraph(checkpoint, form, { file, saturates, lora: true, signal }),
    open: (file) => openLoraDecoder(file, config, sessionOptions(checkpoint, form, opening)),
  });
}

function sessionOptions(
  checkpoint: DecoderCheckpoint,
  form: DecoderForm,
  { tools, watch: { signal } }: Omit<Opening, "tokenizer">,
): SessionOptions {
  const { runtime, provider, deviceMemory } = tools;
  const deviceMemoryBytes = deviceMemory === null ? null : decoderBytes(checkpoint, form, tools);
  return { runtime, provider, deviceMemoryBytes, signal };
}

/** Opens the decoder as it keeps floats, and measures how far its keys and values reach. */
async function withFloats(
  model: IdentifiedDecoder,
  form: DecoderForm,
  opening: Opening,
  build: (floats: Session, reach: readonly LayerReach[]) => Promise<void>,
): Promise<void> {
  const floats = await openGraph(model, asFloats(form), opening);
  try {
    const reading = readingOf(model, opening);
    await build(floats, await measureKvReach(floats, opening.tokenizer, reading));
  } finally {
    await floats.release();
  }
}

function readingOf({ checkpoint }: IdentifiedDecoder, { watch: { signal } }: Opening) {
  return { maxTokens: checkpoint.limits.maxTokens, signal };
}

/** Logs what an int8 cache costs of accuracy. */
async function tellKvLoss(
  model: IdentifiedDecoder,
  floats: Session,
  { rounded, opening }: { rounded: LoadedSession; opening: Opening },
): Promise<void> {
  const { tools, tokenizer } = opening;
  try {
    const reading = { ...readingOf(model, opening), tokenizer };
    const figures = await measureKvLoss(floats, rounded, reading);
    const told = { model: model.id, figures };
    if (isAccurateDecoder(figures)) tools.log.info(told, "keys and values are kept in int8");
    else
      tools.log.warn(
        told,
        "keys and values in int8 cost more accuracy than a form may: set LLM_OS_KV_CACHE=float",
      );
  } finally {
    await rounded.release();
  }
}
