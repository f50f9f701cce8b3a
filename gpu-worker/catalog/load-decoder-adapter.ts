/**
 * An adapter of a decoder as a model of the catalog, with the base's tokenizer: one of low rank writes in the steps and
 * slots that all such adapters of its base share, one that is a soft prompt in those of the base itself.
 */
import type { ModelLimits } from "#contract/model-limits.ts";
import { decoderPrefixes } from "../architectures/decoder-architecture.ts";
import type { DecoderAdapter } from "../checkpoints/decoder-adapter.ts";
import type { AdapterOf } from "../checkpoints/model-folder.ts";
import type { SoftPrompt } from "../checkpoints/soft-prompt-config.ts";
import { type AdapterLoading, expectBase } from "./adapter-base.ts";
import type { LoadedDecoder, LoadedModel } from "./loaded-model.ts";
import { readLora, readPromptVectors } from "./read-lora.ts";

/** Its own, with the base's tokens where it names none. */
export function chatTemplateOf(
  { chatTemplate: own }: DecoderAdapter,
  base: Pick<LoadedDecoder, "chatTemplate">,
) {
  if (own === null) return base.chatTemplate;
  const { bosToken = "", eosToken = "" } = base.chatTemplate ?? {};
  return {
    template: own.template,
    bosToken: own.bosToken || bosToken,
    eosToken: own.eosToken || eosToken,
  };
}

type Base = LoadedDecoder & {
  readonly lora: NonNullable<LoadedDecoder["lora"]>;
  readonly prompts: NonNullable<LoadedDecoder["prompts"]>;
};

/** @throws Error where the base is none for this adapter */
function asBase(adapter: DecoderAdapter, base: LoadedModel): Base {
  if (base.kind !== "decoder") throw new Error(`its base ${base.id} is no decoder`);
  expectBase(adapter, base);
  const { lora, prompts } = base;
  if (lora === null || prompts === null) {
    throw new Error(`its base ${base.id} is an adapter itself`);
  }
  return { ...base, lora, prompts };
}

/** Of its texts: virtual tokens count in each. */
export function decoderAdapterLimits(
  { softPrompt }: DecoderAdapter,
  base: ModelLimits,
): ModelLimits {
  return { ...base, maxTokens: Math.max(1, base.maxTokens - (softPrompt?.tokens ?? 0)) };
}

/** What an adapter adds to its base while it is loaded. */
type Held = Partial<
  Pick<LoadedDecoder, "form" | "session" | "adapter" | "softPrompt" | "keyValueBytes">
> & {
  release(): Promise<void>;
};

async function holdLora(
  model: AdapterOf<DecoderAdapter>,
  { lora }: Base,
  signal: AbortSignal,
): Promise<Held> {
  const prefixes = ["", ...decoderPrefixes];
  const held = await lora.base.hold(
    (layers) => ({ layers: readLora(model, prefixes, layers), shapes: null }),
    signal,
  );
  return { ...held, form: lora.form, keyValueBytes: lora.keyValueBytes };
}

/** @throws Error for a soft prompt that its base cannot read */
function expectPrompt({ tokens, width }: SoftPrompt, { id, limits, prompts }: Base): void {
  if (width !== prompts.width) {
    throw new Error(
      `its virtual tokens have ${width} numbers each, those of ${id} ${prompts.width}`,
    );
  }
  // A token of a prompt, and one of an answer.
  if (limits.maxTokens - tokens >= 2) return;
  throw new Error(
    `its ${tokens} virtual tokens leave no room in the ${limits.maxTokens} tokens that ${id} takes`,
  );
}

function holdPrompt({ folder }: AdapterOf<DecoderAdapter>, size: SoftPrompt, base: Base): Held {
  expectPrompt(size, base);
  const softPrompt = base.prompts.add(readPromptVectors(folder, size));
  return { softPrompt, release: async () => base.prompts.remove(softPrompt) };
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
  const { adapter, sizeBytes } = model;
  const base = asBase(adapter, lease.model);
  const { softPrompt: size } = adapter;
  const stacks = size === null ? base.lora.base.bytesNeeded(adapter.lora) : 0;
  return withRoom(sizeBytes + stacks, async () => {
    const { release, ...held } =
      size === null ? await holdLora(model, base, signal) : holdPrompt(model, size, base);
    return {
      ...base,
      ...held,
      id,
      base: base.id,
      digest,
      limits: decoderAdapterLimits(adapter, base.limits),
      tasks: adapter.chatTemplate === null ? base.tasks : model.tasks,
      chatTemplate: chatTemplateOf(adapter, base),
      lora: null,
      prompts: null,
      bytes: sizeBytes,
      dispose: async () => {
        await release();
        lease.release();
      },
    };
  });
}
