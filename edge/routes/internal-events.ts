/**
 * /internal/shards/{shard}/events: what workers report of their jobs (contract/events.ts). A POST is taken here
 * (jobs/take-events.ts); a WebSocket, asked for by GET under the same signature over an empty body, ends in the shard.
 */
import { CodedError } from "#contract/errors.ts";
import { EventsEnvelope } from "#contract/events.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { readSigned } from "../http/signature.ts";
import { validate } from "../http/validation.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import { takeEvents } from "../jobs/take-events.ts";

export async function receiveEvents(c: EdgeContext): Promise<Response> {
  const body = validate(EventsEnvelope, parseJson(decodeText(await readBodyOfWorker(c))));
  return Response.json(await takeEvents(c.env, shardStub(c.env, shardOf(c)), body));
}

export async function openEvents(c: EdgeContext): Promise<Response> {
  await readBodyOfWorker(c);
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new CodedError("invalid_value", "This address answers a WebSocket's handshake alone.", {
      param: "upgrade",
    });
  }
  const { status, webSocket } = await shardStub(c.env, shardOf(c)).fetch(c.req.raw);
  // Its headers can be added to.
  return new Response(null, { status, webSocket });
}

function readBodyOfWorker(c: EdgeContext): Promise<Uint8Array> {
  const { callbackSecrets } = settingsOf(c.env);
  return readSigned(c.req.raw, callbackSecrets, Date.now() / 1_000);
}

function shardOf(c: EdgeContext): number {
  const text = c.req.param("shard");
  if (text !== undefined && /^\d{1,4}$/.test(text)) return Number(text);
  throw new CodedError("not_found", "No such shard.", { param: "shard" });
}
