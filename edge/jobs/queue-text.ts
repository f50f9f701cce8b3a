/** A job as the text of a queue message, within what a queue takes. */
import { CodedError } from "#contract/errors.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import { queueNumbers } from "#contract/queue.ts";
import type { Settings } from "../environment.ts";
import { parameterField } from "../render-error.ts";
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

type Place = Pick<JobSpec, "id" | "shard">;

/** How a message begins, whatever it holds. */
function addressOf({ id, shard }: Place): string {
  const version: JobMessage["version"] = 1;
  return JSON.stringify({ version, id, shard }).slice(0, -1);
}

/** The message of another job with the same content. @param from what `text` was made for */
export function queueTextFor(
  { message, messageBytes }: QueueText,
  from: Place,
  to: Place,
): QueueText {
  const [old, own] = [addressOf(from), addressOf(to)];
  return {
    message: own + message.slice(old.length),
    messageBytes: messageBytes + own.length - old.length,
  };
}

function textOf(spec: JobSpec, inputs: unknown, createdAt: number): string {
  const { tenant, task, model, requestKey, parameters } = spec;
  const content = { tenant, task, model, requestKey, createdAt, parameters, inputs };
  return `${addressOf(spec)},${escaped(JSON.stringify(content)).slice(1)}`;
}

/** Of an ObjectReference as JSON, with room to spare. */
const referenceBytesMax = 1_024;

/**
 * Inputs that are too large for the queue are put in object storage first. What stands beside them must fit: parameters are
 * bounded each by its schema, and all of them here.
 * @param createdAt ms since the epoch
 * @throws CodedError invalid_value that names the largest parameter of a job no message can hold
 */
export async function queueText(
  spec: JobSpec,
  settings: Settings,
  createdAt: number,
): Promise<QueueText> {
  const message = textOf(spec, spec.inputs, createdAt);
  const messageBytes = utf8Bytes(message, limits.inlineInputsBytesMax);
  if (messageBytes <= limits.inlineInputsBytesMax) return { message, messageBytes };
  const besideBytes = utf8Bytes(textOf(spec, [], createdAt), 0);
  if (besideBytes + referenceBytesMax > queueNumbers.messageBytesMax) throw tooLarge(spec);
  const key = `jobs/inputs/${spec.id}.json`;
  const reference = await putObject(settings, key, JSON.stringify(spec.inputs));
  const short = textOf(spec, reference, createdAt);
  return { message: short, messageBytes: utf8Bytes(short, limits.inlineInputsBytesMax) };
}

function tooLarge({ parameters, rendering }: JobSpec): CodedError {
  const sizes = Object.entries(parameters).map(([name, value]) => ({
    name,
    bytes: utf8Bytes(escaped(JSON.stringify(value) ?? ""), 0),
  }));
  const [largest] = sizes.toSorted((a, b) => b.bytes - a.bytes);
  const field = parameterField(rendering, largest?.name ?? "parameters");
  return new CodedError(
    "invalid_value",
    `${field} takes ${largest?.bytes ?? 0} bytes, and all parameters of a job together may take ` +
      `${queueNumbers.messageBytesMax - referenceBytesMax}. Send less of it.`,
    { param: field },
  );
}
