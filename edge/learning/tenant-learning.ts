/** The Durable Object that keeps what was said of the answers of one key's tuned models, and makes files of it. */
import { DurableObject } from "cloudflare:workers";
import type { FormName } from "#contract/training/forms.ts";
import type { Env } from "../environment.ts";
import type { StorageRefusal } from "../files/storage-limits.ts";
import { formatFileId, type StoredFile } from "../files/stored-file.ts";
import { randomHex } from "../http/random-hex.ts";
import type { Feedback } from "./feedback.ts";
import {
  commonForm,
  type FeedbackCount,
  type FeedbackOutcome,
  FeedbackRows,
} from "./feedback-rows.ts";
import { writeDataSet } from "./write-data-set.ts";

/** Rows that are read at once. */
const rowsAtOnce = 100;

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

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#feedback = new FeedbackRows(ctx.storage.sql);
  }

  add(said: Feedback): FeedbackOutcome {
    return this.#feedback.add(said, Date.now());
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
