/**
 * The Durable Object that keeps the prompts of one key. Its alarm looks what became of optimisations, and stores the
 * winners.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../environment.ts";
import { type PromptPage, PromptRows } from "./prompt-rows.ts";
import type {
  PromptContent,
  PromptHead,
  PromptRefusal,
  StoredVersion,
  VersionHead,
  WatchedEvaluation,
} from "./stored-prompt.ts";
import { outcomeOf } from "./watch-evaluation.ts";

/** What is waited for is asked about after a part of the time that it took already, within these bounds. */
const [askMsMin, askMsMax] = [500, 30_000];
const askPart = 1 / 20;

declare module "../environment.ts" {
  interface Env {
    readonly PROMPTS: DurableObjectNamespace<TenantPrompts>;
  }
}

export class TenantPrompts extends DurableObject<Env> {
  readonly #rows: PromptRows;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#rows = new PromptRows(ctx.storage.sql);
  }

  create(id: string, name: string, content: PromptContent): StoredVersion | PromptRefusal {
    const refusal = this.#rows.create({ id, name, now: Date.now() }, content);
    return refusal ?? this.#kept(id);
  }

  /** @returns null: there is no such prompt */
  add(id: string, content: PromptContent): StoredVersion | PromptRefusal | null {
    const added = this.#rows.add({ id, now: Date.now() }, content, null);
    return typeof added === "number" ? this.#kept(id) : added;
  }

  #kept(id: string): StoredVersion {
    const version = this.#rows.find(id, null);
    if (version === null) throw new Error(`${id} is not there`);
    return version;
  }

  /** @param version null: the newest */
  find(id: string, version: number | null): StoredVersion | null {
    return this.#rows.find(id, version);
  }

  page(page: PromptPage): PromptHead[] | null {
    return this.#rows.page(page);
  }

  versions(id: string): VersionHead[] {
    return this.#rows.versions(id);
  }

  remove(id: string): boolean {
    return this.#rows.remove(id);
  }

  removeVersion(id: string, version: number): "removed" | "none" | "last" {
    return this.#rows.removeVersion(id, version);
  }

  /** Stores what comes of an optimisation, once it has ended. */
  async watch(tenant: string, evaluation: Pick<WatchedEvaluation, "job" | "prompt" | "version">) {
    this.#rows.watch({ ...evaluation, createdAt: Date.now() });
    await this.ctx.storage.put("tenant", tenant);
    await this.#wakeBy(Date.now() + askMsMin);
  }

  /** Of one prompt, the newest first. */
  evaluations(prompt: string): WatchedEvaluation[] {
    return this.#rows.evaluations(prompt);
  }

  override async alarm(): Promise<void> {
    const tenant = await this.ctx.storage.get<string>("tenant");
    if (tenant === undefined) return;
    for (const evaluation of this.#rows.evaluations(null)) {
      try {
        await this.#settle(tenant, evaluation);
      } catch (error) {
        const { job } = evaluation;
        console.error(JSON.stringify({ event: "prompt.not_settled", job, reason: String(error) }));
      }
    }
    const left = this.#rows.evaluations(null);
    if (left.length === 0) return;
    const now = Date.now();
    const waits = left.map(({ createdAt }) => (now - createdAt) * askPart);
    await this.#wakeBy(now + Math.min(askMsMax, Math.max(askMsMin, Math.min(...waits))));
  }

  async #settle(tenant: string, { job, prompt, version }: WatchedEvaluation): Promise<void> {
    const outcome = await outcomeOf(this.env, tenant, job);
    if (outcome.kind === "running") return;
    if (outcome.kind !== "winner") return this.#rows.settle(job, outcome.kind, null);
    const { report, prompt: winner } = outcome;
    const evaluated = this.#rows.find(prompt, version);
    if (evaluated === null) return this.#rows.settle(job, "gone", null);
    const content = { ...evaluated.content, ...winner };
    const newest = this.#rows.find(prompt, null);
    // The same optimisation was asked for twice.
    if (newest !== null && JSON.stringify(newest.content) === JSON.stringify(content))
      return this.#rows.settle(job, "stored", newest.version);
    const added = this.#rows.add({ id: prompt, now: Date.now() }, content, { job, report });
    if (typeof added === "number") return this.#rows.settle(job, "stored", added);
    this.#rows.settle(job, added === null ? "gone" : "no_room", null);
  }

  async #wakeBy(at: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }
}
