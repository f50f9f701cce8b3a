/**
 * Delivers webhook events: notes down what is owed, tries what is due, notes what each try met. The rows are the truth;
 * the object that owns them calls `deliverDue` from its alarm.
 */
import type { JobId } from "#contract/job-id.ts";
import type { DeliveryRows, Delivery } from "./delivery-rows.ts";
import { type Fetch, postEvent } from "./post-event.ts";
import { type Attempt, judge, type RetrySchedule } from "./retry-schedule.ts";
import type { Webhook, WebhookEvent } from "./webhook.ts";

/** Tries on their way at once; the rest wait for the next alarm. */
const parallelMax = 20;

type Surroundings = {
  rows: DeliveryRows;
  schedule: RetrySchedule;
  fetch: Fetch;
  /** The job's webhook, and the Job object as it stood at the event, JSON text; null: the job was purged. */
  describe: (delivery: Delivery) => Promise<{ webhook: Webhook; job: string } | null>;
  now: () => number;
  /** @returns 32 lower-case hex digits */
  randomHex: () => string;
};

export class Courier {
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  owe(jobId: JobId, webhook: Webhook, event: WebhookEvent): void {
    const { rows, schedule, now, randomHex } = this.#surroundings;
    if (!webhook.events.includes(event) || rows.isDisabled(jobId)) return;
    const first = schedule[0];
    if (first === undefined) return;
    const occurredAt = now();
    const id = `msg_${randomHex()}`;
    rows.add({ id, jobId, event, occurredAt }, occurredAt + 1_000 * first);
  }

  async deliverDue(): Promise<void> {
    const { rows, now } = this.#surroundings;
    await Promise.all(rows.due(now(), parallelMax).map((delivery) => this.#deliver(delivery)));
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { rows, schedule, now } = this.#surroundings;
    const attempt = await this.#attempt(delivery);
    if (attempt === null) {
      rows.remove(delivery.jobId);
      return;
    }
    rows.record(delivery, attempt, judge(attempt, delivery.tries + 1, schedule, now()));
  }

  async #attempt(delivery: Delivery): Promise<Attempt | null> {
    const { describe, fetch, now } = this.#surroundings;
    try {
      const described = await describe(delivery);
      if (described === null) return null;
      const { webhook, job } = described;
      const head = JSON.stringify({
        type: `job.${delivery.event}`,
        timestamp: new Date(delivery.occurredAt).toISOString(),
      });
      const body = `${head.slice(0, -1)},"data":${job}}`;
      const { url, secret } = webhook;
      return await postEvent({ messageId: delivery.id, url, secret, body }, fetch, now());
    } catch (error) {
      return { kind: "unanswered", reason: `not sent: ${String(error).slice(0, 400)}` };
    }
  }
}
