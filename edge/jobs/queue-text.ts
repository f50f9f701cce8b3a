/** A job as the text of a queue message, within what a queue takes. */
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import type { Settings } from "../environment.ts";
import type { JobSpec } from "./job-spec.ts";
import { putObject } from "./object-store.ts";
import { utf8Bytes } from "./utf8-bytes.ts";

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

/** @param inputs JSON of the inputs, or of where they lie */
function textOf(spec: JobSpec, inputs: string, createdAt: number): string {
  const { id, shard, tenant, task, model, requestKey, parameters } = spec;
  const version: JobMessage["version"] = 1;
  const head = JSON.stringify({
    version,
    id,
    shard,
    tenant,
    task,
    model,
    requestKey,
    createdAt,
    parameters,
  });
  return escaped(`${head.slice(0, -1)},"inputs":${inputs}}`);
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
  const { inputs } = spec;
  // As many characters are as many bytes at least: of what is certainly too large no message is formed to be measured.
  if (inputs.length <= limits.inlineInputsBytesMax) {
    const message = textOf(spec, inputs, createdAt);
    const messageBytes = utf8Bytes(message, limits.inlineInputsBytesMax);
    if (messageBytes <= limits.inlineInputsBytesMax) return { message, messageBytes };
  }
  const reference = await putObject(settings, {
    key: `jobs/inputs/${spec.id}.json`,
    contentType: "application/json",
    bytes: new TextEncoder().encode(inputs),
  });
  const short = textOf(spec, JSON.stringify(reference), createdAt);
  return { message: short, messageBytes: utf8Bytes(short, limits.inlineInputsBytesMax) };
}
