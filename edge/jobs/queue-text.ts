/** A job as the text of a queue message, within what a queue takes. */
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import type { Settings } from "../environment.ts";
import type { JobSpec } from "./job-spec.ts";
import { putObject } from "./object-store.ts";

/** UTF-8 bytes of one UTF-16 code unit at most, counting pairs as two. */
const bytesPerCharacterMax = 3;

export type QueueText = { message: string; messageBytes: number };

/**
 * The queue takes no U+FFFE and U+FFFF, and some servers no characters past them: such characters, always inside JSON
 * strings, are written as escapes.
 */
function escaped(json: string): string {
  return json.replace(
    /[\ud800-\udfff\ufffe\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16)}`,
  );
}

function textOf(spec: JobSpec, inputs: unknown, createdAt: number): string {
  const { id, shard, tenant, task, model, requestKey, parameters } = spec;
  const version: JobMessage["version"] = 1;
  return escaped(
    JSON.stringify({
      version,
      id,
      shard,
      tenant,
      task,
      model,
      requestKey,
      createdAt,
      parameters,
      inputs,
    }),
  );
}

function byteLength(text: string): number {
  // A short text is below every limit whatever its characters are: no need to encode it for its length.
  const bound = text.length * bytesPerCharacterMax;
  if (bound <= limits.inlineInputsBytesMax) return bound;
  return new TextEncoder().encode(text).byteLength;
}

/**
 * Inputs that are too large for the queue are put in object storage first.
 * @param createdAt ms since the epoch
 */
export async function queueText(
  spec: JobSpec,
  settings: Settings,
  createdAt: number,
): Promise<QueueText> {
  const message = textOf(spec, spec.inputs, createdAt);
  const messageBytes = byteLength(message);
  if (messageBytes <= limits.inlineInputsBytesMax) return { message, messageBytes };
  const key = `jobs/inputs/${spec.id}.json`;
  const reference = await putObject(settings, key, JSON.stringify(spec.inputs));
  const short = textOf(spec, reference, createdAt);
  return { message: short, messageBytes: byteLength(short) };
}
