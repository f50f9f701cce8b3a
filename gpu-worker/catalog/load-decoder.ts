/**
 * From a decoder's folder to a model ready to generate: the graph taken from the cache or built, the session opened,
 * the tokenizer made. Its keys and values take their memory from the session when texts are there.
 */
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import {
  type DecoderCheckpoint,
  decoderTokenizerFiles,
} from "../checkpoints/decoder-checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import type { DecoderForm } from "../compute-form/decoder-form-choice.ts";
import { buildDecoderGraph } from "../graphs/build-decoder.ts";
import { decoderGraphBytes } from "../graphs/graph-bytes.ts";
import { decoderDigestIn, decoderGraphKey } from "../graphs/graph-key.ts";
import { expectBinding, openDecoder } from "../graphs/open-decoder.ts";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import type { LoadedSession } from "../runtime/session.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { keyValueBytes } from "./key-value-memory.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import type { Watch } from "./load-step.ts";
import type { LoadedDecoder } from "./loaded-model.ts";
import { openCachedGraph } from "./open-cached-graph.ts";

export type IdentifiedDecoder = { id: string; checkpoint: DecoderCheckpoint; files: FilesDigest };

/** What the decoder will take of memory, about: its weights, and keys and values. */
export function decoderBytes(
  { parameters, keyValues, limits }: DecoderCheckpoint,
  form: DecoderForm,
  { modelsMemory, deviceMemory }: Pick<LoaderDependencies, "modelsMemory" | "deviceMemory">,
): number {
  const kept = keyValueBytes(keyValues, limits.maxTokens, modelsMemory);
  return decoderGraphBytes(parameters, form) + kept + (deviceMemory?.runBytes ?? 0);
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
  const form = await tools.decoderForms(watch.signal);
  const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
  checkTokenizer(tokenizer, checkpoint);
  const bytes = decoderBytes(checkpoint, form, tools);
  const session = await openGraph({ id, checkpoint, files }, { form, bytes, tools, watch });
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
    bytes,
    dispose: async () => {
      await session.release();
      await returnRunMemory(runtime);
    },
  };
}

type Opening = { form: DecoderForm; bytes: number; tools: LoaderDependencies; watch: Watch };

function openGraph(
  { checkpoint, files }: IdentifiedDecoder,
  { form, bytes, tools, watch }: Opening,
): Promise<LoadedSession> {
  const { runtime, provider, deviceMemory } = tools;
  const { signal } = watch;
  const key = decoderGraphKey(form, decoderDigestIn(form, files, provider), provider);
  const deviceMemoryBytes = deviceMemory === null ? null : bytes;
  return openCachedGraph(key, {
    tools,
    watch,
    build: (file) => buildDecoderGraph(checkpoint, form, { file, signal }),
    open: (file) => openDecoder(file, { runtime, provider, deviceMemoryBytes, signal }),
  });
}
