/**
 * An adapter as a model of the catalog: a head of its own on the session and tokenizer of its base, so that texts for
 * many heads share the base's batches; where it changes layers of the base, on the session that all such adapters of
 * the base share. It holds the base while it is loaded, and is refused on any other base than its own.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { ModelLimits } from "#contract/model-limits.ts";
import { type Adapter, adapterFiles } from "../checkpoints/adapter-folder.ts";
import type { AdapterModel } from "../checkpoints/model-folder.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { LoraSession } from "../graphs/lora-session.ts";
import type { LoadedEncoder, LoadedModel } from "./loaded-model.ts";
import { readLora, readShapes } from "./read-lora.ts";

/** Whether its texts run as its base's do. */
function isHeadAlone({ lora, wordShapes }: Adapter): boolean {
  return lora.length === 0 && !wordShapes;
}

/** Of what the adapter adds to its base. */
async function ownDigest({ folder, adapter }: AdapterModel, signal: AbortSignal): Promise<string> {
  const weights = await sha256OfFile(path.join(folder, adapterFiles.weights), signal);
  const own = await sha256OfFile(path.join(folder, adapterFiles.own), signal);
  const digest = `${adapterFiles.weights} ${weights}\n${adapterFiles.own} ${own}\n`;
  if (isHeadAlone(adapter)) return digest;
  const config = await sha256OfFile(path.join(folder, adapterFiles.config), signal);
  return `${digest}${adapterFiles.config} ${config}\n`;
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

export function adapterLimits({ maxLength }: Adapter, base: ModelLimits): ModelLimits {
  const { maxTokens, vocabularySize } = base;
  return { maxTokens: Math.min(maxLength, maxTokens), dimensions: null, vocabularySize };
}

/** The model that an adapter's head was fitted on. */
export type Base = {
  /**
   * Null: it is not known before the model has been loaded once. @throws where its files are not here, or cannot be
   * read
   */
  digest(signal: AbortSignal): Promise<string | null>;
  lease(signal: AbortSignal): Promise<ModelLease<LoadedModel>>;
};

/** The hidden size that the head was fitted on. */
function hiddenOf({ pooling, weight, labels }: Adapter): number {
  const features = weight.length / labels.length;
  return pooling === "spans" || pooling === "marks" ? features / 3 : features;
}

/** @param upstreamDigest of the model here; null: not known yet @returns null where nothing is known to be wrong */
export function wrongBase(
  { baseDigest, baseName }: Adapter,
  id: string,
  upstreamDigest: string | null,
): Error | null {
  if (upstreamDigest === null || upstreamDigest === baseDigest) return null;
  return new Error(
    `it was fitted on ${baseName} with sha256 ${baseDigest}, but the weights of ${id} here have ${upstreamDigest}`,
  );
}

/** @throws Error where the base is none for this adapter */
function asBase({ baseDigest, baseName, ...adapter }: Adapter, base: LoadedModel): LoadedEncoder {
  if (base.kind === "decoder") throw new Error(`its base ${base.id} is a decoder`);
  const wrong = wrongBase({ baseDigest, baseName, ...adapter }, base.id, base.upstreamDigest);
  if (wrong !== null) throw wrong;
  if (base.head.name !== "none") throw new Error(`its base ${base.id} has a head already`);
  const { dimensions } = base.limits;
  const hidden = hiddenOf({ ...adapter, baseDigest, baseName });
  if (dimensions === null || hidden === dimensions) return base;
  throw new Error(`its head reads ${hidden} features, but ${base.id} gives ${dimensions}`);
}

function headOf(adapter: Adapter): LoadedEncoder["head"] {
  const { task, labels, problem, pooling, weight, bias, decoding } = adapter;
  const name = task === "token-classification" ? task : "sequence-classification";
  const linear = { pooling, weight, bias };
  return { name, labels, problem, linear, ...(decoding && { decoding }) };
}

type Held = Pick<LoadedEncoder, "session" | "dispose"> &
  Partial<Pick<LoadedEncoder, "adapter" | "memory">>;

/** Rows for each of a text's tokens at most, and groups of them for each text, about (model/lora-groups.ts). */
const [rowsPerToken, groupsPerText] = [3, 2];

/** What a run takes where its rows are in groups. */
function groupedMemory({ memory }: LoadedEncoder, session: LoraSession): Pick<Held, "memory"> {
  if (memory === undefined) return {};
  const perToken = memory.perToken * rowsPerToken;
  return { memory: { ...memory, perToken, perText: session.groupBytes * groupsPerText } };
}

/** The session that the adapter's rows run in. */
async function hold(base: LoadedEncoder, model: AdapterModel, signal: AbortSignal): Promise<Held> {
  if (isHeadAlone(model.adapter)) {
    return { session: base.session, dispose: () => Promise.resolve() };
  }
  const { lora } = base;
  if (lora === null) throw new Error(`its base ${base.id} takes no layers of LoRA`);
  const read = ({ layers }: LoraSession) => ({
    layers: readLora(model, lora.checkpoint, layers),
    shapes: readShapes(model),
  });
  const { session, adapter, release } = await lora.base.hold(read, signal);
  return { session, adapter, dispose: release, ...groupedMemory(base, session) };
}

/** What loading it takes of memory, about, beside its base. */
function bytesNeeded({ adapter, sizeBytes }: AdapterModel, base: LoadedEncoder): number {
  return isHeadAlone(adapter) ? 0 : sizeBytes + (base.lora?.base.bytesNeeded(adapter.lora) ?? 0);
}

export type AdapterLoading = {
  /** Of the base; released where loading fails, and when the adapter is disposed of. */
  lease: ModelLease<LoadedModel>;
  /** Loads once others have made room for so many bytes. */
  withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel>;
  signal: AbortSignal;
};

/** @throws Error whose message completes "the model cannot be served: …"; the signal's reason */
export async function loadAdapter(
  { id, model }: { id: string; model: AdapterModel },
  { lease, withRoom, signal }: AdapterLoading,
): Promise<LoadedModel> {
  const { adapter, tasks } = model;
  try {
    const base = asBase(adapter, lease.model);
    const digest = await adapterDigest(model, base.digest, signal);
    return await withRoom(bytesNeeded(model, base), async () => {
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
  } catch (error) {
    lease.release();
    throw error;
  }
}
