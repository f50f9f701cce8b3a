/**
 * From a decoder's folder to a model ready to generate: the graph taken from the cache or built, the session opened,
 * the tokenizer made. Its keys and values take their memory from the session when texts are there.
 */
import type { DecoderForm } from "../architectures/decoder-form.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import {
  type DecoderCheckpoint,
  decoderTokenizerFiles,
} from "../checkpoints/decoder-checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import { buildDecoderGraph } from "../graphs/build-decoder.ts";
import { decoderGraphBytes } from "../graphs/graph-bytes.ts";
import type { DecoderLoraSession } from "../graphs/decoder-lora-session.ts";
import { decoderDigestIn, decoderGraphKey, loraGraphKey } from "../graphs/graph-key.ts";
import { expectBinding, openDecoder, openLoraDecoder } from "../graphs/open-decoder.ts";
import type { PromptedSession } from "../graphs/prompted-session.ts";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { keyValueBytes } from "./key-value-memory.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import type { Watch } from "./load-step.ts";
import type { LoadedDecoder } from "./loaded-model.ts";
import { LoraBase } from "./lora-base.ts";
import { openCachedGraph } from "./open-cached-graph.ts";

export type IdentifiedDecoder = { id: string; checkpoint: DecoderCheckpoint; files: FilesDigest };

type Bounds = Pick<LoaderDependencies, "modelsMemory" | "deviceMemory">;

/** What the decoder takes of memory in a form, about: its weights, and keys and values. */
function decoderBytes(
  { parameters, keyValues, limits }: DecoderCheckpoint,
  form: DecoderForm,
  { modelsMemory, deviceMemory }: Bounds,
): number {
  const kept = keyValueBytes(keyValues, limits.maxTokens, modelsMemory);
  return decoderGraphBytes(parameters, form) + kept + (deviceMemory?.runBytes ?? 0);
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
  const smallest = Math.min(...forms.map((form) => decoderBytes(checkpoint, form, tools)));
  return Math.max(smallest, comparingBytes(checkpoint, forms, tools.modelsMemory) ?? 0);
}

/** Kept, or measured now; the smallest where the machine cannot hold the forms side by side. */
async function formOf(model: IdentifiedDecoder, opening: Opening): Promise<DecoderForm> {
  const { id, checkpoint, files } = model;
  const { tools, tokenizer, watch } = opening;
  const { decoderForms, modelsMemory, provider, graphs, log } = tools;
  const known = await decoderForms.known(files);
  if (known !== null) return known;
  const forms = decoderForms.candidates(files);
  if (comparingBytes(checkpoint, forms, modelsMemory) === null) {
    const smallest = forms.at(-1) ?? "f32";
    log.warn({ model: id, form: smallest }, "the decoder is too large here to compare its forms");
    return smallest;
  }
  const measured = {
    id,
    files,
    maxTokens: checkpoint.limits.maxTokens,
    tokenizer,
    open: (form: DecoderForm) => openGraph(model, form, opening),
    discard: (form: DecoderForm) =>
      graphs.discard(decoderGraphKey(form, decoderDigestIn(form, files, provider), provider)),
  };
  return decoderForms.measure(measured, watch.signal);
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
  const { runtime, provider, modelsMemory } = tools;
  const { tasks, limits, keyValues, chatTemplate, derivedFrom } = checkpoint;
  expectBinding(runtime);
  const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
  checkTokenizer(tokenizer, checkpoint);
  const model = { id, checkpoint, files };
  const opening = { tools, tokenizer, watch };
  const form = await formOf(model, opening);
  const bytes = decoderBytes(checkpoint, form, tools);
  const session = await openGraph(model, form, opening);
  const lora = new LoraBase({
    bytesNeeded: () => bytes,
    open: async (signal) => ({ session: await openLora(model, form, { tools, signal }), bytes }),
  });
  return {
    kind: "decoder",
    id,
    digest: decoderDigestIn(form, files, provider),
    form,
    tasks,
    limits,
    tokenizer,
    session,
    keyValues,
    keyValueBytes: keyValueBytes(keyValues, limits.maxTokens, modelsMemory),
    endTokens: endTokensOf(checkpoint, tokenizer),
    chatTemplate,
    upstreamDigest: derivedFrom ?? files.weights,
    lora,
    prompts: session,
    get bytes() {
      return bytes + lora.bytes;
    },
    dispose: async () => {
      await session.release();
      await returnRunMemory(runtime);
    },
  };
}

type Opening = { tools: LoaderDependencies; tokenizer: Tokenizer; watch: Watch };

function openGraph(
  { checkpoint, files }: IdentifiedDecoder,
  form: DecoderForm,
  { tools, watch }: Opening,
): Promise<PromptedSession> {
  const { runtime, provider, deviceMemory } = tools;
  const { signal } = watch;
  const key = decoderGraphKey(form, decoderDigestIn(form, files, provider), provider);
  const deviceMemoryBytes = deviceMemory === null ? null : decoderBytes(checkpoint, form, tools);
  return openCachedGraph(key, {
    tools,
    watch,
    build: (file) => buildDecoderGraph(checkpoint, form, { file, signal }),
    open: (file) => openDecoder(file, { runtime, provider, deviceMemoryBytes, signal }),
  });
}

/** The graph that takes adapters, with keys and values of its own. */
function openLora(
  { checkpoint, files }: IdentifiedDecoder,
  form: DecoderForm,
  { tools, signal }: { tools: LoaderDependencies; signal: AbortSignal },
): Promise<DecoderLoraSession> {
  const { runtime, provider, deviceMemory } = tools;
  const { config, weights } = openDecoderWeights(checkpoint);
  weights.close();
  const key = decoderGraphKey(form, decoderDigestIn(form, files, provider), provider);
  const deviceMemoryBytes = deviceMemory === null ? null : decoderBytes(checkpoint, form, tools);
  return openCachedGraph(loraGraphKey(key), {
    tools,
    watch: { onStep: () => undefined, signal },
    build: (file) => buildDecoderGraph(checkpoint, form, { file, lora: true, signal }),
    open: (file) => openLoraDecoder(file, config, { runtime, provider, deviceMemoryBytes, signal }),
  });
}
