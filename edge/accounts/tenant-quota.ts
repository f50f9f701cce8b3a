/**
 * The Durable Object that counts for one tenant, or for all tenants of one wider network: exact under parallel
 * requests, because there is one of it and every decision is one synchronous transaction. Its books are
 * quota-ledger.ts; this file gives them a clock and an alarm that empties the object once nothing in it matters any
 * more. Refusals are counted beside the books, in memory: losing them costs a little work.
 */
import { DurableObject } from "cloudflare:workers";
import {
  type QuotaDecision,
  QuotaLedger,
  type QuotaLimits,
  type ReserveDecision,
  type ReserveRequest,
} from "./quota-ledger.ts";
import { Tally } from "./tally.ts";

declare module "../environment.ts" {
  interface Env {
    readonly QUOTA: DurableObjectNamespace<TenantQuota>;
  }
}

export class TenantQuota extends DurableObject<object> {
  #ledger: QuotaLedger | null = null;
  readonly #refusals = new Tally();

  /** Counts one request that costs no units. */
  async count(limits: QuotaLimits): Promise<QuotaDecision> {
    const decision = this.#books().count(limits, Date.now());
    await this.#keepAlarm();
    return decision;
  }

  /** Counts one request and reserves its units; an open reservation of the same request gives its job id instead. */
  async reserve(request: ReserveRequest, limits: QuotaLimits): Promise<ReserveDecision> {
    const decision = this.#books().reserve(request, limits, Date.now());
    await this.#keepAlarm();
    return decision;
  }

  /** Closes a job's reservation with the units it really took (0: failed or cancelled). Later calls change nothing. */
  async settle(jobId: string, units: number): Promise<boolean> {
    return this.#books().settle(jobId, units, Date.now());
  }

  /** One of the requests that share a job's reservation came to nothing. */
  async release(jobId: string): Promise<void> {
    this.#books().release(jobId, Date.now());
  }

  /** Adds refusals that one isolate counted. @returns for how long all are over the limit, ms; 0: they are not */
  noteRefusals(count: number, limitPerMinute: number): number {
    return this.#refusals.add(count, limitPerMinute, Date.now());
  }

  override async alarm(): Promise<void> {
    const nextMs = this.#books().purge(Date.now());
    if (nextMs !== null) {
      await this.ctx.storage.setAlarm(nextMs);
      return;
    }
    this.#ledger = null;
    await this.ctx.storage.deleteAll();
  }

  #books(): QuotaLedger {
    this.#ledger ??= new QuotaLedger(this.ctx.storage.sql);
    return this.#ledger;
  }

  async #keepAlarm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) !== null) return;
    const nextMs = this.#books().purge(Date.now());
    if (nextMs !== null) await this.ctx.storage.setAlarm(nextMs);
  }
}
