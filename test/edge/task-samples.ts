/**
 * A request and an answer of every task, out of the contract alone: the request from the task's golden message, the
 * answer made up from the schema of its output. A task that is added is tested at the edge by that.
 */
import * as z from "zod";
import { JobMessage } from "../../contract/job-message.ts";
import { type Task, tasks } from "../../contract/tasks.ts";

const golden: Record<string, unknown> = import.meta.glob(
  [
    "../../contract/golden/job-message.*.json",
    "!../../contract/golden/job-message.*.reference.json",
  ],
  { eager: true, import: "default" },
);

export type Sample = { inputs: unknown[]; parameters: Record<string, unknown> };

export function sampleOf(task: Task): Sample {
  const { inputs, parameters } = JobMessage.parse(
    golden[`../../contract/golden/job-message.${task}.json`],
  );
  if (!Array.isArray(inputs)) throw new Error(`the golden message of ${task} holds no inputs`);
  return { inputs, parameters };
}

/** `[1, 0.5, −2.25]` as base64 of little-endian f32, worked out by hand. */
export const vector = { numbers: [1, 0.5, -2.25], base64: "AACAPwAAAD8AABDA" };

type JsonSchema = {
  type?: string | string[];
  format?: string;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  prefixItems?: JsonSchema[];
  items?: JsonSchema;
};

/** A value that the task's output schema takes. */
export function outputOf(task: Task): unknown {
  const output = valueOf(z.toJSONSchema(tasks[task].output) as JsonSchema);
  return tasks[task].output.parse(output);
}

function valueOf(schema: JsonSchema): unknown {
  const { type, format, anyOf, properties, prefixItems, items } = schema;
  if (schema.enum !== undefined) return schema.enum[0];
  if (anyOf?.[0] !== undefined) return valueOf(anyOf[0]);
  switch (Array.isArray(type) ? type[0] : type) {
    case "string":
      return format === "base64" ? vector.base64 : "some text";
    case "object":
      return Object.fromEntries(
        Object.entries(properties ?? {}).map(([name, part]) => [name, valueOf(part)]),
      );
    case "array":
      return (prefixItems ?? [items ?? {}, items ?? {}]).map(valueOf);
    case "integer":
      return 3;
    case "number":
      return 0.25;
    case "boolean":
      return false;
    default:
      throw new Error(`no value is known for a schema of type ${String(type)}`);
  }
}
