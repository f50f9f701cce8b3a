/** Which forms a made-up decoder of `decoders` can be computed in. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { decoderForms } from "../../gpu-worker/architectures/decoder-form.ts";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { decoderOf } from "../../gpu-worker/architectures/decoder.ts";
import { canRotate } from "../../gpu-worker/architectures/rotated-weights.ts";

export function isFormOf(name: string, form: DecoderForm): boolean {
  const file = path.join(import.meta.dirname, "decoders", name, "config.json");
  return (
    !decoderForms[form].rotated || canRotate(decoderOf(JSON.parse(readFileSync(file, "utf8"))))
  );
}
