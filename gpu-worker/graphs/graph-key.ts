/** Names of graphs: of what a model answers in a form, and of the compiled graph that computes it here. */
import { type FilesDigest, modelDigest } from "../checkpoints/model-digest.ts";
import { decoderForms } from "../architectures/decoder-form.ts";
import type { DecoderComputing, DecoderForm } from "../architectures/decoder-form.ts";
import type { Form } from "../compute-form/form-choice.ts";
import type { Provider } from "../runtime/session.ts";

/**
 * Grows whenever the same files give another graph of an encoder: older compiled graphs and cached results are then
 * left behind.
 */
export const builderVersion = 9;

/** As `builderVersion`, of a decoder. */
export const decoderBuilderVersion = 12;

/**
 * Of the model as it is computed here, lower-case hex. Whether weights are shifted changes the graph but no answer: it
 * is part of the graph's key, not of the digest.
 */
export function digestIn({ form }: Form, files: FilesDigest, provider: Provider): string {
  const computed = files.format === "onnx" ? files.format : form;
  return modelDigest(files, `${computed} ${provider}`, builderVersion);
}

/** As `digestIn`, of a decoder. */
export function decoderDigestIn(
  { form, kvCache }: DecoderComputing,
  files: FilesDigest,
  provider: Provider,
): string {
  const kept = kvCache === "float" ? "" : ` keys and values in ${kvCache}`;
  return modelDigest(files, `${form} ${provider}${kept}`, decoderBuilderVersion);
}

/** How the keys of all graphs of a model in one form begin. */
export function keyPrefix(digest: string): string {
  return `${digest.slice(0, 32)}-`;
}

/** @param digest of the decoder in that form */
export function decoderGraphKey(
  { form, saturates }: { form: DecoderForm; saturates: boolean },
  digest: string,
  provider: Provider,
): string {
  const shifted = decoderForms[form].rotated && saturates ? "-shifted" : "";
  return `${keyPrefix(digest)}${form}${shifted}-${provider}-${decoderBuilderVersion}`;
}

/** Grows whenever the same files give another graph of adapters, and the same answers. */
const loraVersion = 3;

/** Of the graph that takes adapters, `key` being that of the one that does not. */
export function loraGraphKey(key: string): string {
  return `${key}-lora-${loraVersion}`;
}

/** Of the graph for steps that are captured, `key` being that of the one for all runs. */
export function stepsGraphKey(key: string): string {
  return `${key}-steps`;
}

/** @param digest of the model in that form */
export function graphKey({ form, saturates }: Form, digest: string, provider: Provider): string {
  const shifted = saturates ? "-shifted" : "";
  return `${keyPrefix(digest)}${form}${shifted}-${provider}-${builderVersion}`;
}
