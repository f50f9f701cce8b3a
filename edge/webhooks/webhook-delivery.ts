/**
 * Delivers webhook events: notes down what is owed, tries what is due, notes what each try met. The rows are the truth;
 * the object that owns them calls `deliverDue` from its alarm. A slot that frees takes the next that is due, and a host
 * has few of them, so that one slow endpoint delays nobody else. A job's deliveries go one at a time, in the order of
 * its events; one that is to be tried again holds none of the later ones.
 */
import type { JobId } from "#contract/job-id.ts";
import type { DeliveryRows, Delivery } from "./delivery-rows.ts";
import { type Fetch, postEvent } from "./post-event.ts";
import { type Attempt, judge, type RetrySchedule } from "./retry-schedule.ts";
import type { Webhook, WebhookEvent } from "./webhook.ts";

/** Tries on their way at once. */
const parallelMax = 20;
const perHostMax = 4;
/** An alarm starts tries for this long, then ends with the last of them; what is left is for the next. */
const startingMsMax = 15_000;
/** A plan bounds the calls of one alarm. What met the bound was not tried: it is due as before. */
const outOfCalls = /too many subrequests/i;

type Dependencies = {
  rows: DeliveryRows;
  schedule: RetrySchedule;
  fetch: Fetch;
  /** The job's webhook, and the Job object as it stood at the event, JSON text; null: the job was purged. */
  describe: (delivery: Delivery) => Promise<{ webhook: Webhook; job: string } | null>;
  now: () => number;
  /** @returns 32 lower-case hex digits */
  randomHex: () => string;
};

/** One alarm's tries. */
type Round = {
  underWay: Map<Delivery, Promise<void>>;
  /** Nothing more is started after this, ms since the epoch. */
  startsUntil: number;
};

export class WebhookDelivery {
  readonly #dependencies: Dependencies;
  /** Resolved when something more is owed. */
  #owed = Promise.withResolvers<void>();

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  owe(jobId: JobId, webhook: Webhook, event: WebhookEvent): void {
    const { rows, schedule, now, randomHex } = this.#dependencies;
    if (!webhook.events.includes(event) || rows.isDisabled(jobId)) return;
    const first = schedule[0];
    if (first === undefined) return;
    const occurredAt = now();
    const id = `msg_${randomHex()}`;
    const dueAt = occurredAt + 1_000 * first;
    rows.add({ id, jobId, event, occurredAt, url: webhook.url, dueAt });
    this.#owed.resolve();
  }

  /** Ends when nothing that is due can be tried any more, or its time is over. */
  async deliverDue(): Promise<void> {
    const { now } = this.#dependencies;
    const round: Round = { underWay: new Map(), startsUntil: now() + startingMsMax };
    for (;;) {
      const nextAt = this.#startDue(round);
      if (round.underWay.size === 0) return;
      await this.#untilChange(round, nextAt);
    }
  }

  /** @returns when the next delivery falls due that a slot is free for; null: there is none */
  #startDue(round: Round): number | null {
    const { rows, now } = this.#dependencies;
    while (round.underWay.size < parallelMax) {
      const deliveries = [...round.underWay.keys()];
      const next = rows.next(
        deliveries.map(({ jobId }) => jobId),
        busyHosts(deliveries),
      );
      if (next === undefined || round.startsUntil <= now()) return null;
      if (next.dueAt > now()) return next.dueAt;
      const { delivery } = next;
      const done = this.#deliver(delivery, round).finally(() => round.underWay.delete(delivery));
      round.underWay.set(delivery, done);
    }
    return null;
  }

  async #untilChange(round: Round, nextAt: number | null): Promise<void> {
    this.#owed = Promise.withResolvers();
    const changes = [...round.underWay.values(), this.#owed.promise];
    if (nextAt === null) return Promise.race(changes);
    const due = Promise.withResolvers<void>();
    const clock = setTimeout(due.resolve, nextAt - this.#dependencies.now());
    return Promise.race([...changes, due.promise]).finally(() => clearTimeout(clock));
  }

  async #deliver(delivery: Delivery, round: Round): Promise<void> {
    const { rows, schedule, now } = this.#dependencies;
    const attempt = await this.#attempt(delivery);
    if (attempt === null) {
      rows.remove(delivery.jobId);
      return;
    }
    if (attempt.kind === "unanswered" && outOfCalls.test(attempt.reason)) {
      round.startsUntil = 0;
      return;
    }
    const at = now();
    rows.record(delivery, attempt, judge(attempt, delivery.tries + 1, schedule, at), at);
  }

  async #attempt(delivery: Delivery): Promise<Attempt | null> {
    const { describe, fetch, now } = this.#dependencies;
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

function busyHosts(underWay: readonly Delivery[]): string[] {
  const hosts = underWay.map(({ host }) => host);
  return [...new Set(hosts)].filter(
    (host) => hosts.filter((other) => other === host).length >= perHostMax,
  );
}
