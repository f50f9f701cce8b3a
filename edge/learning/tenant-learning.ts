/**
 * The Durable Object that keeps what was said of the answers of one key's tuned models, makes files of it, and has the
 * models of aliases trained anew. Its alarm takes one step of each re-tune; what is begun is kept before, so that a
 * crash has nothing done twice.
 */
import { DurableObject } from "cloudflare:workers";
import type { FormName } from "#contract/training/forms.ts";
import type { Env } from "../environment.ts";
import type { StorageRefusal } from "../files/storage-limits.ts";
import { formatFileId, type StoredFile } from "../files/stored-file.ts";
import { randomHex } from "../http/random-hex.ts";
import { namesOf } from "../registry/model-alias.ts";
import type { Feedback } from "./feedback.ts";
import {
  commonForm,
  type FeedbackCount,
  type FeedbackOutcome,
  FeedbackRows,
} from "./feedback-rows.ts";
import {
  isDue,
  type Retune,
  type RetuneEvent,
  type RetuneRun,
  type RetuneSettings,
  type RetuneState,
  scheduledAt,
  told,
} from "./retune.ts";
import { RetuneRows } from "./retune-rows.ts";
import { newRun, stepOf } from "./run-retune.ts";
import { writeDataSet } from "./write-data-set.ts";

/** Rows that are read at once. */
const rowsAtOnce = 100;
/** New corrections are looked at together. */
const lookMs = 1_000;
/** What is waited for is asked about after a part of the time that it took already, within these bounds. */
const [askMsMin, askMsMax] = [500, 30_000];
const askPart = 1 / 20;
/** What failed is tried again after this long. */
const againMs = 30_000;

declare module "../environment.ts" {
  interface Env {
    readonly LEARNING: DurableObjectNamespace<TenantLearning>;
  }
}

export type Exported =
  | { file: StoredFile; form: FormName; examples: number }
  | { refusal: StorageRefusal | "nothing" };

export class TenantLearning extends DurableObject<Env> {
  readonly #feedback: FeedbackRows;
  readonly #retunes: RetuneRows;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#feedback = new FeedbackRows(ctx.storage.sql);
    this.#retunes = new RetuneRows(ctx.storage.sql);
  }

  async add(said: Feedback): Promise<FeedbackOutcome> {
    const outcome = this.#feedback.add(said, Date.now());
    const isExample = "kept" in outcome && said.kind === "example";
    if (isExample && this.#retunes.list().length > 0) await this.#wakeBy(Date.now() + lookMs);
    return outcome;
  }

  counts(): FeedbackCount[] {
    return this.#feedback.counts();
  }

  /** @returns how much there was */
  forget(model: string): number {
    return this.#feedback.forget(model);
  }

  /** Writes the corrections of some models as a file of the key; of several forms, the commonest. */
  async export(tenant: string, models: readonly string[], filename: string): Promise<Exported> {
    const counts = this.#feedback.counts().filter(({ model }) => models.includes(model));
    const form = commonForm(counts);
    if (form === null) return { refusal: "nothing" };
    const sources = counts.filter((count) => count.form === form && count.examples > 0);
    let examples = 0;
    const lines = function* (rows: FeedbackRows, names: readonly string[]) {
      for (const line of linesOf(rows, names, true)) {
        examples += 1;
        yield line;
      }
    };
    const written = await writeDataSet(
      this.env,
      { tenant, id: formatFileId(randomHex()), filename, bytesMax: bytesOf(sources), keptMs: null },
      lines(
        this.#feedback,
        sources.map(({ model }) => model),
      ),
    );
    return "refusal" in written ? written : { ...written, form, examples };
  }

  /** Of one that is known the settings change, and it goes on. */
  async askForRetune(settings: RetuneSettings): Promise<void> {
    const state = { usedTo: 0, since: Date.now(), run: null, events: [] };
    this.#retunes.ask({ settings, state });
    await this.#wakeBy(Date.now());
  }

  /** @param names under which its corrections are @returns null: there is none */
  retune(alias: string, names: readonly string[]): (Retune & { examples: number }) | null {
    const retune = this.#retunes.find(alias);
    if (retune === null) return null;
    return { ...retune, examples: this.#newExamples(retune, names) };
  }

  /** What it has begun to train goes on, as any job. @returns whether there was one */
  removeRetune(alias: string): boolean {
    return this.#retunes.remove(alias);
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    const times: number[] = [];
    for (const { settings } of this.#retunes.list()) {
      try {
        times.push(...(await this.#advance(settings.alias)));
      } catch (error) {
        const { alias } = settings;
        console.error(
          JSON.stringify({ event: "retune.not_advanced", alias, reason: String(error) }),
        );
        times.push(now + againMs);
      }
    }
    if (times.length > 0) await this.#wakeBy(Math.min(...times));
  }

  /** @returns when it is to be looked at again; empty: when there is news */
  async #advance(name: string): Promise<number[]> {
    const { tenant } = this.#retunes.find(name)?.settings ?? {};
    if (tenant === undefined) return [];
    const alias = await this.env.TUNED_MODELS.getByName(tenant).findAlias(name);
    const retune = this.#retunes.find(name);
    if (retune === null) return [];
    if (alias === null) {
      this.#retunes.remove(name);
      return [];
    }
    const names = namesOf(alias);
    const { run } = retune.state;
    if (run !== null) return this.#step(retune, run, names);
    const examples = this.#newExamples(retune, names);
    if (!isDue(retune, examples, Date.now())) {
      const at = scheduledAt(retune);
      // Past its time it waits for a correction.
      return at === null || at <= Date.now() ? [] : [at];
    }
    const begun = newRun({
      from: alias.model,
      upTo: this.#feedback.lastNumber(),
      begunAt: Date.now(),
    });
    const message = `A re-tune of ${alias.model} begins, with ${examples} new corrections.`;
    this.#retunes.keepState(name, { ...toldOf(retune.state, "info", message), run: begun });
    return [Date.now()];
  }

  async #step(retune: Retune, run: RetuneRun, names: readonly string[]): Promise<number[]> {
    const { alias, form } = retune.settings;
    const keep = (next: RetuneRun) => this.#keepState(alias, (state) => ({ ...state, run: next }));
    const sources = this.#feedback
      .counts()
      .filter((count) => names.includes(count.model) && count.form === form);
    const corrections = () => ({
      bytes: bytesOf(sources),
      lines: linesOf(
        this.#feedback,
        sources.map(({ model }) => model),
        false,
      ),
    });
    const step = await stepOf(this.env, retune, run, { corrections, keep });
    switch (step.kind) {
      case "again": {
        const { run: next, why } = step;
        keep(next);
        if (why !== null) this.#keepState(alias, (state) => toldOf(state, "warn", why));
        return [Date.now()];
      }
      case "wait": {
        const { why } = step;
        if (why !== null) this.#keepState(alias, (state) => toldOf(state, "warn", why));
        const now = Date.now();
        return [now + Math.min(askMsMax, Math.max(askMsMin, (now - run.begunAt) * askPart))];
      }
      case "over": {
        const { level, message } = step;
        const over = { run: null, usedTo: run.upTo, since: Date.now() };
        this.#keepState(alias, (state) => ({ ...toldOf(state, level, message), ...over }));
        return [Date.now()];
      }
    }
  }

  #keepState(alias: string, change: (state: RetuneState) => RetuneState): void {
    const retune = this.#retunes.find(alias);
    if (retune !== null) this.#retunes.keepState(alias, change(retune.state));
  }

  #newExamples({ settings, state }: Retune, names: readonly string[]): number {
    const sources = this.#feedback.counts().filter(({ form }) => form === settings.form);
    const of = sources.flatMap(({ model }) => (names.includes(model) ? [model] : []));
    return this.#feedback.examplesAfter(of, state.usedTo);
  }

  async #wakeBy(at: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }
}

function toldOf(state: RetuneState, level: RetuneEvent["level"], message: string): RetuneState {
  return told(state, { at: Date.now(), level, message });
}

/** Each line has an end, and may have a field of metadata. */
function bytesOf(counts: readonly FeedbackCount[]): number {
  return counts.reduce((sum, each) => sum + each.example_bytes + 20 * each.examples, 0);
}

function* linesOf(
  rows: FeedbackRows,
  models: readonly string[],
  withMetadata: boolean,
): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (let after = 0; ;) {
    const page = rows.examples(models, after, rowsAtOnce);
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.number;
    for (const { line, metadata } of page) {
      const text = withMetadata && metadata !== null ? withField(line, metadata) : line;
      yield encoder.encode(`${text}\n`);
    }
  }
}

function withField(line: string, metadata: string): string {
  return `${line.slice(0, -1)},"metadata":${metadata}}`;
}
