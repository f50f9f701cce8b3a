/**
 * An adapter of a decoder as a model of the catalog: it writes in the steps and slots that all adapters of its base
 * share, with the base's tokenizer.
 */
import { decoderPrefixes } from "../architectures/causal-transformer.ts";
import type { DecoderAdapter } from "../checkpoints/decoder-adapter.ts";
import type { AdapterOf } from "../checkpoints/model-folder.ts";
import { type AdapterLoading, expectBase } from "./adapter-base.ts";
import type { LoadedDecoder, LoadedModel } from "./loaded-model.ts";
import { readLora } from "./read-lora.ts";

/** Its own, with the base's tokens where it names none. */
function chatTemplateOf({ chatTemplate: own }: DecoderAdapter, base: LoadedDecoder) {
  if (own === null) return base.chatTemplate;
  const { bosToken = "", eosToken = "" } = base.chatTemplate ?? {};
  return {
    template: own.template,
    bosToken: own.bosToken || bosToken,
    eosToken: own.eosToken || eosToken,
  };
}

/** @throws Error where the base is none for this adapter */
function asBase(adapter: DecoderAdapter, base: LoadedModel): LoadedDecoder & { lora: object } {
  if (base.kind !== "decoder") throw new Error(`its base ${base.id} is no decoder`);
  expectBase(adapter, base);
  const { lora } = base;
  if (lora === null) throw new Error(`its base ${base.id} is an adapter itself`);
  return { ...base, lora };
}

/**
 * @param digest of base and adapter
 * @throws Error whose message completes "the model cannot be served: …"; the signal's reason
 */
export function loadDecoderAdapter(
  { id, model }: { id: string; model: AdapterOf<DecoderAdapter> },
  digest: string,
  { lease, withRoom, signal }: AdapterLoading,
): Promise<LoadedModel> {
  const base = asBase(model.adapter, lease.model);
  const { lora } = base;
  const prefixes = ["", ...decoderPrefixes];
  return withRoom(model.sizeBytes + lora.bytesNeeded(model.adapter.lora), async () => {
    const held = await lora.hold(
      (layers) => ({ layers: readLora(model, prefixes, layers), shapes: null }),
      signal,
    );
    return {
      ...base,
      id,
      base: base.id,
      digest,
      tasks: model.adapter.chatTemplate === null ? base.tasks : model.tasks,
      chatTemplate: chatTemplateOf(model.adapter, base),
      session: held.session,
      adapter: held.adapter,
      lora: null,
      bytes: model.sizeBytes,
      dispose: async () => {
        await held.release();
        lease.release();
      },
    };
  });
}
