/** A queue message's body to the contract's job message: one of the five places where foreign data is parsed. */
import { JobId, shardOfJobId } from "#contract/job-id.ts";
import { JobMessage } from "#contract/job-message.ts";
import * as z from "zod";
import { parseJson } from "./parse-json.ts";

export type ParsedMessage =
  | { kind: "valid"; message: JobMessage }
  /** Not understood, but its computation can be reported as failed. */
  | { kind: "unreadable"; id: JobId; shard: number; tenant: string; reason: string }
  /** Nothing in it says to which shard it could be reported. */
  | { kind: "foreign"; reason: string };

const Envelope = z.object({ id: JobId, tenant: z.string().min(1).max(100).catch("unknown") });

export function parseMessage(body: string): ParsedMessage {
  const document = parseJson(body);
  const parsed = JobMessage.safeParse(document);
  if (parsed.success) return { kind: "valid", message: parsed.data };
  const reason = z.prettifyError(parsed.error).slice(0, 1_000);
  const envelope = Envelope.safeParse(document);
  if (!envelope.success) return { kind: "foreign", reason };
  const { id, tenant } = envelope.data;
  const shard = shardOfJobId(id);
  return shard === null
    ? { kind: "foreign", reason }
    : { kind: "unreadable", id, shard, tenant, reason };
}
