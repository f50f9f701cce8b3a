/**
 * An adapter as a model of the catalog: a head of its own on the session and tokenizer of its base, so that texts for
 * many heads share the base's batches; where it changes layers of the base, on the session that all such adapters of
 * the base share. It holds the base while it is loaded, and is refused on any other base than its own.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { ModelLimits } from "#contract/model-limits.ts";
import { prefixesOf } from "../architectures/encoder.ts";
import { adapterFiles } from "../checkpoints/adapter-files.ts";
import type { Adapter, EncoderAdapter } from "../checkpoints/adapter-folder.ts";
import type { AdapterModel, AdapterOf } from "../checkpoints/model-folder.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { LoraSession } from "../graphs/lora-session.ts";
import { type AdapterLoading, expectBase } from "./adapter-base.ts";
import { decoderAdapterLimits, loadDecoderAdapter } from "./load-decoder-adapter.ts";
import type { LoadedEncoder, LoadedModel } from "./loaded-model.ts";
import { readLora, readPromptVectors, readShapes } from "./read-lora.ts";

/** Whether its texts run as its base's do. */
function isHeadAlone(adapter: Adapter): boolean {
  if (adapter.kind === "decoder") return false;
  return adapter.lora.length === 0 && !adapter.wordShapes && adapter.softPrompt === null;
}

/** Whether it takes a place in its base's stacks. */
export function isStacked(adapter: Adapter): boolean {
  return !isHeadAlone(adapter) && !(adapter.kind === "decoder" && adapter.softPrompt !== null);
}

/** The files that decide what it adds to its base. What a decoder's llm-os.json says changes no answer. */
function identityOf(adapter: Adapter): string[] {
  const { weights, own, config } = adapterFiles;
  const named = adapter.kind === "encoder" ? [weights, own] : [weights];
  return isHeadAlone(adapter) ? named : [...named, config];
}

/** Of what the adapter adds to its base. */
async function ownDigest({ folder, adapter }: AdapterModel, signal: AbortSignal): Promise<string> {
  let digest = "";
  for (const name of identityOf(adapter)) {
    digest += `${name} ${await sha256OfFile(path.join(folder, name), signal)}\n`;
  }
  if (adapter.kind === "decoder" && adapter.chatTemplate !== null) {
    digest += `chat template ${JSON.stringify(adapter.chatTemplate)}\n`;
  }
  return digest;
}

/** @param baseDigest of the base as it is computed here @returns lower-case hex */
export async function adapterDigest(
  model: AdapterModel,
  baseDigest: string,
  signal: AbortSignal,
): Promise<string> {
  const own = await ownDigest(model, signal);
  return createHash("sha256").update(`base ${baseDigest}\n${own}`).digest("hex");
}

export function adapterLimits(adapter: Adapter, base: ModelLimits): ModelLimits {
  if (adapter.kind === "decoder") return decoderAdapterLimits(adapter, base);
  const { maxLength, softPrompt } = adapter;
  const { vocabularySize } = base;
  const room = Math.max(1, base.maxTokens - (softPrompt?.tokens ?? 0));
  return { maxTokens: Math.min(maxLength, room), dimensions: null, vocabularySize };
}

/** The hidden size that the head was fitted on. */
function hiddenOf({ pooling, weight, labels }: EncoderAdapter): number {
  const features = weight.length / labels.length;
  return pooling === "spans" || pooling === "marks" ? features / 3 : features;
}

/** @throws Error where the base is none for this adapter */
function asBase(adapter: EncoderAdapter, base: LoadedModel): LoadedEncoder {
  if (base.kind === "decoder") throw new Error(`its base ${base.id} is a decoder`);
  expectBase(adapter, base);
  if (base.head.name !== "none") throw new Error(`its base ${base.id} has a head already`);
  const { dimensions } = base.limits;
  const hidden = hiddenOf(adapter);
  if (dimensions === null || hidden === dimensions) return base;
  throw new Error(`its head reads ${hidden} features, but ${base.id} gives ${dimensions}`);
}

function headOf(adapter: EncoderAdapter): LoadedEncoder["head"] {
  const { task, labels, problem, pooling, weight, bias, decoding } = adapter;
  if (task === "question-answering") return { name: task, linear: { pooling, weight, bias } };
  const name = task === "token-classification" ? task : "sequence-classification";
  const linear = { pooling, weight, bias };
  return { name, labels, problem, linear, ...(decoding && { decoding }) };
}

type Held = Pick<LoadedEncoder, "session" | "dispose"> &
  Partial<Pick<LoadedEncoder, "adapter" | "softPrompt" | "memory">>;

/** Rows for each of a text's tokens at most, and copies of adapters for each text, about (model/lora-groups.ts). */
const [rowsPerToken, copiesPerText] = [3, 2];

/** What a run takes where its rows are in groups. */
function groupedMemory({ memory }: LoadedEncoder, session: LoraSession): Pick<Held, "memory"> {
  if (memory === undefined) return {};
  const perToken = memory.perToken * rowsPerToken;
  return { memory: { ...memory, perToken, perText: session.groupBytes * copiesPerText } };
}

/** The session that the adapter's rows run in. */
async function hold(
  base: LoadedEncoder,
  model: AdapterOf<EncoderAdapter>,
  signal: AbortSignal,
): Promise<Held> {
  if (isHeadAlone(model.adapter)) {
    return { session: base.session, dispose: () => Promise.resolve() };
  }
  const { lora } = base;
  if (lora === null) throw new Error(`its base ${base.id} takes no layers of LoRA`);
  const prefixes = prefixesOf(lora.checkpoint.config);
  const { session, adapter, release } = await lora.base.hold(
    (layers) => ({ layers: readLora(model, prefixes, layers), shapes: readShapes(model) }),
    signal,
  );
  const held = { session, adapter, ...groupedMemory(base, session) };
  if (model.adapter.softPrompt === null) return { ...held, dispose: release };
  try {
    const softPrompt = holdPrompt(model, base, session);
    const dispose = async () => {
      await release();
      session.prompts.remove(softPrompt);
    };
    return { ...held, softPrompt, dispose };
  } catch (error) {
    await release();
    throw error;
  }
}

/** @throws Error for a soft prompt that its base cannot read */
function holdPrompt(
  { folder, adapter }: AdapterOf<EncoderAdapter>,
  { id, limits, tokenizer }: LoadedEncoder,
  { prompts }: LoraSession,
): number[] {
  const { tokens = 0, width = 0 } = adapter.softPrompt ?? {};
  if (limits.maxTokens - tokens <= tokenizer.specialTokens.pair + 1) {
    throw new Error(
      `its ${tokens} virtual tokens leave no room in the ${limits.maxTokens} tokens that ${id} takes`,
    );
  }
  return prompts.add(readPromptVectors(folder, { tokens, width }), width);
}

/** What loading it takes of memory, about, beside its base. */
function bytesNeeded({ adapter, sizeBytes }: AdapterModel, base: LoadedEncoder): number {
  return isHeadAlone(adapter) ? 0 : sizeBytes + (base.lora?.base.bytesNeeded(adapter.lora) ?? 0);
}

function loadEncoderAdapter(
  { id, model }: { id: string; model: AdapterOf<EncoderAdapter> },
  digest: string,
  { lease, withRoom, signal }: AdapterLoading,
): Promise<LoadedModel> {
  const { adapter, tasks } = model;
  const base = asBase(adapter, lease.model);
  return withRoom(bytesNeeded(model, base), async () => {
    const { dispose, ...held } = await hold(base, model, signal);
    return {
      ...base,
      ...held,
      id,
      tasks,
      digest,
      limits: adapterLimits(adapter, base.limits),
      head: headOf(adapter),
      entityModel: adapter.entityModel,
      wordShapes: adapter.wordShapes,
      lora: null,
      bytes: model.sizeBytes,
      dispose: async () => {
        await dispose();
        lease.release();
      },
    };
  });
}

/** Where its base has as many adapters as it may, one that nobody uses makes way. */
async function makePlace(base: LoadedModel, { unloadIdle }: AdapterLoading): Promise<void> {
  if (base.lora?.base.full) await unloadIdle();
}

/** @throws Error whose message completes "the model cannot be served: …"; the signal's reason */
export async function loadAdapter(
  { id, model }: { id: string; model: AdapterModel },
  loading: AdapterLoading,
): Promise<LoadedModel> {
  const { adapter } = model;
  const { lease, signal } = loading;
  try {
    const digest = await adapterDigest(model, lease.model.digest, signal);
    if (isStacked(adapter)) await makePlace(lease.model, loading);
    return adapter.kind === "decoder"
      ? await loadDecoderAdapter({ id, model: { ...model, adapter } }, digest, loading)
      : await loadEncoderAdapter({ id, model: { ...model, adapter } }, digest, loading);
  } catch (error) {
    lease.release();
    throw error;
  }
}
