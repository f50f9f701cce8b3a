/** A job as the text of a queue message, within what a queue takes. */
import { CodedError } from "#contract/errors.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import { queueNumbers } from "#contract/queue.ts";
import type { JobAddress } from "../accounts/admission.ts";
import { parameterField } from "../answers/surfaces.ts";
import type { Settings } from "../environment.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import { putObject } from "../storage/object-store.ts";
import type { JobSpec } from "./job-spec.ts";

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

/** How a message begins, whatever it holds. */
function addressOf({ id, shard }: JobAddress): string {
  const version: JobMessage["version"] = 1;
  return JSON.stringify({ version, id, shard }).slice(0, -1);
}

/** The message of another job with the same content. @param from what `text` was made for */
export function queueTextFor(
  { message, messageBytes }: QueueText,
  from: JobAddress,
  to: JobAddress,
): QueueText {
  const [old, own] = [addressOf(from), addressOf(to)];
  return {
    message: own + message.slice(old.length),
    messageBytes: messageBytes + own.length - old.length,
  };
}

/** @param inputs JSON of the inputs, or of where they lie */
function textOf(spec: JobSpec, inputs: string, createdAt: number): string {
  const { tenant, task, model, requestKey, tuned, parameters } = spec;
  // As JSON leaves out what is undefined.
  const stream = spec.stream || undefined;
  const content = JSON.stringify({
    tenant,
    task,
    model,
    requestKey,
    tuned,
    createdAt,
    stream,
    parameters,
  });
  return `${addressOf(spec)},${escaped(content.slice(1, -1))},"inputs":${escaped(inputs)}}`;
}

/** Of an ObjectReference as JSON, with room to spare. */
const referenceBytesMax = 1_024;

/**
 * Inputs that are too large for the queue are put in object storage first. What stands beside them must fit: parameters
 * are bounded each by its schema, and all of them here.
 * @param createdAt ms since the epoch
 * @throws CodedError invalid_value that names the largest parameter of a job no message can hold
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
  const besideBytes = utf8Bytes(textOf(spec, "[]", createdAt), 0);
  if (besideBytes + referenceBytesMax > queueNumbers.messageBytesMax) throw tooLarge(spec);
  const reference = await putObject(settings, {
    key: `jobs/inputs/${spec.id}.json`,
    contentType: "application/json",
    bytes: new TextEncoder().encode(inputs),
  });
  const short = textOf(spec, JSON.stringify(reference), createdAt);
  return { message: short, messageBytes: utf8Bytes(short, limits.inlineInputsBytesMax) };
}

function tooLarge({ parameters, rendering, tuned }: JobSpec): CodedError {
  const sizes = Object.entries(parameters).map(([name, value]) => ({
    name,
    bytes: utf8Bytes(escaped(JSON.stringify(value) ?? ""), 0),
  }));
  const [largest] = sizes.toSorted((a, b) => b.bytes - a.bytes);
  const field = parameterField(rendering, largest?.name ?? "parameters");
  const tunedBytes = tuned === undefined ? 0 : utf8Bytes(escaped(JSON.stringify(tuned)), 0);
  return new CodedError(
    "invalid_value",
    `${field} takes ${largest?.bytes ?? 0} bytes, and all parameters of a job together may take ` +
      `${queueNumbers.messageBytesMax - referenceBytesMax - tunedBytes}. Send less of it.`,
    { param: field },
  );
}
