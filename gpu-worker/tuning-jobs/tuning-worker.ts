/**
 * Takes one tuning job at a time from the queue: claims it, deletes its message, has it run and its outcome told. A
 * message whose job cannot be claimed now is held until it can be; one that cannot be read is handed back, until the
 * queue has moved it to the dead letters.
 */
import * as z from "zod";
import { queueNumbers } from "#contract/queue.ts";
import {
  type TuningClaim,
  TuningClaimAnswer,
  TuningMessage,
  type TuningOrder,
  type TuningOutcome,
} from "#contract/training/tuning-job.ts";
import { type Backoff, backoffMs, pause } from "../jobs/backoff.ts";
import type { EdgeClient } from "../jobs/edge-client.ts";
import { parseJson } from "../jobs/parse-json.ts";
import type { JobQueue, QueueMessage } from "../jobs/sqs-queue.ts";
import type { Log } from "../telemetry/log.ts";
import { TuningLease } from "./tuning-lease.ts";

export type TuningWorkerOptions = {
  id: string;
  queue: Pick<JobQueue, "receive" | "delete" | "setVisibility">;
  edge: Pick<EdgeClient, "post">;
  /** Resolves when `done` has, whatever became of the job. */
  run(
    order: TuningOrder,
    lease: TuningLease,
    done: (outcome: TuningOutcome | null) => Promise<void>,
  ): Promise<void>;
  backoff: Backoff;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  log: Log;
};

const claimPath = "/internal/training/claim";
const deleteTries = 5;

export class TuningWorker {
  readonly #options: TuningWorkerOptions;
  #lease: TuningLease | null = null;

  constructor(options: TuningWorkerOptions) {
    this.#options = options;
  }

  /**
   * Works until `ending` aborts, and hands back what it is at.
   * @param deadline when it aborts, the edge is not told any more
   */
  async work(ending: AbortSignal, deadline: AbortSignal): Promise<void> {
    ending.addEventListener("abort", () => this.#lease?.interrupt("shutdown"));
    let failures = 0;
    while (!ending.aborted) {
      try {
        const [message] = await this.#options.queue.receive(1);
        failures = 0;
        if (message !== undefined) await this.#take(message, ending, deadline);
      } catch (error) {
        const waitMs = backoffMs(this.#options.backoff, failures++);
        this.#options.log.warn({ error, waitMs }, "the queue does not answer; trying again");
        await pause(waitMs, ending);
      }
    }
  }

  async #take(message: QueueMessage, ending: AbortSignal, deadline: AbortSignal): Promise<void> {
    const { queue, log } = this.#options;
    const parsed = TuningMessage.safeParse(parseJson(message.body));
    if (!parsed.success) {
      const reason = z.prettifyError(parsed.error).slice(0, 1_000);
      log.error({ message: message.messageId, reason }, "a message cannot be read");
      await queue.setVisibility([message.receipt], 0);
      return;
    }
    const answer = await this.#claim(parsed.data, message, ending);
    if (answer === "later") return void (await queue.setVisibility([message.receipt], 0));
    if (answer === "refused") return;
    await this.#delete(message);
    if (answer.order !== null) await this.#run(answer.order, ending, deadline);
  }

  /** Asks until it is told, and keeps the message hidden meanwhile. */
  async #claim(
    { id, tenant }: TuningMessage,
    { receipt }: QueueMessage,
    ending: AbortSignal,
  ): Promise<TuningClaimAnswer | "later" | "refused"> {
    const { edge, queue, backoff, log } = this.#options;
    const claim: TuningClaim = { id, tenant, worker: this.#options.id };
    for (let failures = 0; !ending.aborted; failures += 1) {
      try {
        const { status, body } = await edge.post(claimPath, JSON.stringify(claim), ending);
        if (status < 300) return TuningClaimAnswer.parse(parseJson(body));
        if (status === 400) {
          log.error({ job: id, body }, "a claim was refused");
          return "refused";
        }
        throw new Error(`the edge answered ${status}`);
      } catch (error) {
        if (ending.aborted) break;
        if (failures === 0) log.warn({ error, job: id }, "could not claim; trying again");
        const { visibilityTimeoutSeconds } = queueNumbers;
        await queue.setVisibility([receipt], visibilityTimeoutSeconds).catch(() => undefined);
        await pause(backoffMs(backoff, failures), ending);
      }
    }
    return "later";
  }

  /** One that stays is received again, and its job then is another's. */
  async #delete({ receipt, messageId }: QueueMessage): Promise<void> {
    const { queue, backoff, log } = this.#options;
    for (let tries = 0; tries < deleteTries; tries += 1) {
      const left = await queue.delete([receipt]).catch(() => [receipt]);
      if (left.length === 0) return;
      await pause(backoffMs(backoff, tries), new AbortController().signal);
    }
    log.warn({ message: messageId }, "a message could not be deleted");
  }

  async #run(order: TuningOrder, ending: AbortSignal, deadline: AbortSignal): Promise<void> {
    const { id: worker, edge, backoff, wallClock, log, run } = this.#options;
    const { id, attempt, model } = order;
    log.info({ job: id, attempt, model }, "a tuning job is claimed");
    const lease = new TuningLease({ edge, order, worker, backoff, wallClock, log });
    this.#lease = lease;
    if (ending.aborted) lease.interrupt("shutdown");
    lease.start();
    try {
      await run(order, lease, (outcome) => lease.end(outcome, deadline));
    } catch (error) {
      log.error({ error, job: id }, "a tuning job could not be cleaned up");
    } finally {
      await lease.end(null, deadline);
      this.#lease = null;
    }
  }
}
