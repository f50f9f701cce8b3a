/** What models are loaded with: the runtime, what is kept on the disk, and the bounds of memory. */
import type { KvCacheForm } from "../architectures/decoder-form.ts";
import type { DecoderForms } from "../compute-form/decoder-form-choice.ts";
import type { FormChoice } from "../compute-form/form-choice.ts";
import type { KeptFigures } from "../compute-form/int8-accuracy.ts";
import type { KeptDigests } from "../files/kept-digests.ts";
import type { GraphCache } from "../graphs/graph-cache.ts";
import type { Provider, Runtime } from "../runtime/session.ts";
import type { DeviceMemory } from "./device-memory.ts";

export type LoaderDependencies = {
  runtime: Runtime;
  provider: Provider;
  /** Of the GPU; null: the CPU computes. */
  deviceMemory: DeviceMemory | null;
  digests: KeptDigests;
  graphs: GraphCache;
  forms: FormChoice;
  decoderForms: DecoderForms;
  /** Of decoders. */
  kvCache: KvCacheForm;
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
