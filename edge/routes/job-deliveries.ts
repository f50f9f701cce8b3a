/** GET /v1/jobs/{id}/deliveries: what became of a job's webhooks, try by try, for its owner alone. */
import * as z from "zod";
import type { EdgeContext } from "../context.ts";
import { type DeliveryLog, deliveryStates } from "../webhooks/delivery-rows.ts";
import { webhookEvents } from "../webhooks/webhook.ts";
import { jobIdOf, jobNotFound, shardOf } from "./jobs.ts";

const seconds = z.int();

export const DeliveryObject = z.object({
  id: z.string().describe("The webhook-id of every try."),
  object: z.literal("webhook.delivery").describe("What this is."),
  event: z.enum(webhookEvents.map((event) => `job.${event}` as const)).describe("What happened."),
  url: z.string().describe("Where it is sent."),
  status: z
    .enum(deliveryStates)
    .describe("Disabled: the endpoint answered 410. Exhausted: no try is left."),
  tries: z.int().nonnegative().describe("Tries so far."),
  created_at: seconds.describe("When it happened, in seconds since the epoch."),
  next_try_at: seconds
    .nullable()
    .describe("In seconds since the epoch. Null: it is not tried again."),
  attempts: z
    .array(
      z.object({
        at: seconds.describe("When the try ended, in seconds since the epoch."),
        status: z.int().nullable().describe("What the endpoint answered; null: nothing."),
        error: z.string().nullable().describe("Why there was no answer."),
      }),
    )
    .describe("The latest tries, oldest first."),
});
export type DeliveryObject = z.infer<typeof DeliveryObject>;

export const DeliveryList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(DeliveryObject).describe("The job's deliveries, in the order of its events."),
});

export async function listDeliveries(c: EdgeContext): Promise<Response> {
  const id = jobIdOf(c);
  const logs = await shardOf(c, id).deliveries(id, c.get("caller").tenant);
  if (logs === null) throw jobNotFound();
  return c.json({ object: "list", data: logs.map(shown) } satisfies z.infer<typeof DeliveryList>);
}

function shown({ id, event, url, state, tries, occurredAt, dueAt, attempts }: DeliveryLog) {
  return {
    id,
    object: "webhook.delivery",
    event: `job.${event}`,
    url,
    status: state,
    tries,
    created_at: inSeconds(occurredAt),
    next_try_at: dueAt === null ? null : inSeconds(dueAt),
    attempts: attempts.map(({ at, status, error }) => ({ at: inSeconds(at), status, error })),
  } satisfies DeliveryObject;
}

function inSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}
