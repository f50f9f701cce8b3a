/**
 * The Durable Object that keeps the responses of one tenant: what each was given, and what became of it. A response is
 * here before its job is begun; how that ended is looked up in the job's shard by whoever asks, and by the alarm well
 * before the shard forgets it. So none stays open, whatever was struck down meanwhile.
 */
import { DurableObject } from "cloudflare:workers";
import type { PublicError } from "#contract/errors.ts";
import { type JobId, shardOfJobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import type { Job, JobStatus } from "../answers/job.ts";
import type { ResponseRendering } from "../answers/model-response.ts";
import { openResult } from "../answers/read-result.ts";
import { type ItemPlace, placeOfItem, type ResponseItem } from "../answers/response-items.ts";
import { type Told, toldAtOnce } from "../answers/told-pieces.ts";
import { type Env, settingsOf } from "../environment.ts";
import { ByteSemaphore } from "../http/byte-semaphore.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import {
  charactersOf,
  type Conversation,
  conversationUpTo,
  type ItemPage,
  itemsGiven,
  itemsIn,
  itemsOf,
  pageOf,
  writtenItems,
} from "./conversation.ts";
import { limitsOfTenant } from "./response-limits.ts";
import {
  type NewResponse,
  type ResponseEnd,
  type ResponseRow,
  ResponseRows,
  toldOf,
} from "./response-rows.ts";

/** A job that its shard does not know after so long never got there. */
const arrivalMs = 60_000;
/** A job is asked about after a part of the time that it took already, within these bounds. */
const [lookMsMin, lookMsMax] = [30_000, 600_000];
const lookPart = 1 / 4;
const lookedAtOnce = 50;

declare module "../environment.ts" {
  interface Env {
    readonly RESPONSES: DurableObjectNamespace<TenantResponses>;
  }
}

export type StoredResponse = Pick<ResponseRow, "job"> & {
  rendering: ResponseRendering;
  warnings: string[];
  state:
    | { kind: "open"; status: JobStatus }
    /** Null: it is large, and to be had by itself. */
    | { kind: "succeeded"; document: string | null }
    | { kind: "failed"; error: PublicError }
    | { kind: "canceled" };
};

export class TenantResponses extends DurableObject<Env> {
  readonly #rows: ResponseRows;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#rows = new ResponseRows(ctx.storage.sql);
  }

  /** The response is about to be made by its job; told again, by another. @returns false: too many are open */
  async begin(response: NewResponse & { job: JobId }): Promise<boolean> {
    if (this.#rows.find(response.id) === null) {
      if (!this.#makeRoom(response)) return false;
      this.#rows.add(response, Date.now(), { lookAt: Date.now() + lookMsMin });
    } else this.#rows.setJob(response.id, response.job);
    await this.#keepAlarm();
    return true;
  }

  /** Keeps a response whose result was there already. @returns false: too many are open */
  async keep(response: NewResponse, result: StoredResult): Promise<boolean> {
    if (!this.#makeRoom(response)) return false;
    const end = await endOf(this.env, response.id, result, toldAtOnce);
    this.#rows.add(response, Date.now(), end);
    this.#evict(response);
    await this.#keepAlarm();
    return true;
  }

  async find(id: string): Promise<StoredResponse | null> {
    const settled = await this.#settle(id);
    return settled === null ? null : this.#show(settled.row, settled.status);
  }

  /** How the events of one that is finished were told; null: that is not known. */
  told(id: string): Told | null {
    const row = this.#rows.find(id);
    return row === null ? null : toldOf(row);
  }

  /** One that is finished stays as it is. */
  async cancel(id: string): Promise<StoredResponse | null> {
    const row = this.#rows.find(id);
    if (row?.status === "open") await this.#cancelJob(row);
    return this.find(id);
  }

  /** @returns whether there was such a response */
  async remove(id: string): Promise<boolean> {
    const row = this.#rows.find(id);
    if (row === null) return false;
    this.#rows.remove(id);
    if (row.status === "open") await this.#cancelJob(row);
    return true;
  }

  /** @param last the response that another follows */
  async conversation(last: string, charactersMax: number): Promise<Conversation> {
    await this.#settle(last);
    return conversationUpTo(this.#rows, last, charactersMax);
  }

  /** @returns what there is not, where that is so */
  itemsGiven(
    id: string,
    page: ItemPage,
  ): NonNullable<ReturnType<typeof pageOf>> | "response" | "after" {
    const row = this.#rows.find(id);
    return row === null ? "response" : (pageOf(itemsGiven(this.#rows, row), page) ?? "after");
  }

  /** The result of one that succeeded, whatever its size. */
  document(id: string): ReadableStream<Uint8Array> | null {
    const row = this.#rows.find(id);
    if (row?.status !== "succeeded") return null;
    const bytes = this.#rows.bytesOf(row, "result");
    let [at, sent] = [0, 0];
    const pull = (controller: ReadableByteStreamController) => {
      const piece = this.#rows.piece(row, "result", at);
      at += 1;
      if (piece !== null) {
        sent += piece.byteLength;
        controller.enqueue(piece);
      } else if (sent === bytes) controller.close();
      else controller.error(new Error("the response was deleted while it was read"));
    };
    return new ReadableStream({ type: "bytes", pull });
  }

  /**
   * Items by their ids, in order; null for each that is not here.
   * @returns how many characters they have, where those are more than was to be read
   */
  async items(
    ids: readonly string[],
    charactersMax: number,
  ): Promise<(ResponseItem | null)[] | { characters: number }> {
    const times = new Map<string, number>();
    for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1);
    const found = new Map<string, ResponseItem>();
    let characters = 0;
    // One by one: what they hold together may be more than memory has.
    for (const place of placesOf(times.keys())) {
      for (const item of await this.#itemsAt(place)) {
        const asked = times.get(item.id) ?? 0;
        if (asked > 0) found.set(item.id, item);
        if (asked > 0) characters += asked * charactersOf([item]);
      }
      if (characters > charactersMax) return { characters };
    }
    return ids.map((id) => found.get(id) ?? null);
  }

  async #itemsAt({ response, side }: ItemPlace): Promise<ResponseItem[]> {
    const settled = await this.#settle(response);
    if (settled === null) return [];
    const { row } = settled;
    return side === "in" ? itemsOf(this.#rows.read(row, "input")) : writtenItems(this.#rows, row);
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    for (const row of this.#rows.due(now, lookedAtOnce)) {
      const after = Math.max(lookMsMin, Math.min(lookMsMax, (now - row.created_at) * lookPart));
      this.#rows.lookLater(row.id, now + after);
      await this.#settle(row.id);
    }
    const { oldest } = this.#rows.times();
    if (oldest !== null) this.#rows.expire(now - keptMs);
    await this.#keepAlarm();
  }

  /** Looks how the job of one that is open ended. @returns null where there is no such response (any more) */
  async #settle(id: string): Promise<{ row: ResponseRow; status: JobStatus } | null> {
    const row = this.#rows.find(id);
    if (row === null || row.created_at < Date.now() - keptMs) return null;
    if (row.status !== "open" || row.job === null) return { row, status: "starting" };
    let status: JobStatus = "starting";
    try {
      const job = await shardStub(this.env, shardOfJobId(row.job) ?? 0).find(row.job, row.tenant);
      status = job?.status ?? status;
      const end = await this.#endOfJob(row, job);
      const now = this.#rows.find(id);
      if (end !== null && now?.status === "open" && now.job === row.job) this.#end(row, end);
    } catch (error) {
      // It stays open, and is looked at again.
      console.error(JSON.stringify({ event: "response.not_settled", id, reason: String(error) }));
    }
    const settled = this.#rows.find(id);
    return settled === null ? null : { row: settled, status };
  }

  /** @returns null: it goes on */
  async #endOfJob(row: ResponseRow, job: Job | null): Promise<ResponseEnd | null> {
    if (job === null) {
      return Date.now() - row.created_at < arrivalMs
        ? null
        : { status: "failed", error: lost, told: null };
    }
    const { told } = job;
    if (job.finishedAt === null) return null;
    if (job.error !== null) return { status: "failed", error: job.error, told };
    if (job.result === null) return { status: "canceled", told };
    return endOf(this.env, row.id, job.result, told);
  }

  #end(row: ResponseRow, end: ResponseEnd): void {
    this.#rows.end(row, end);
    this.#evict(row);
  }

  /** Others, the oldest first, where it takes more than there is room for. */
  #evict({ id, tenant }: Pick<ResponseRow, "id" | "tenant">): void {
    const { bytesMax } = limitsOfTenant(tenant);
    while (this.#rows.usage.bytes > bytesMax && this.#rows.evict(id));
  }

  async #cancelJob({ job, tenant }: ResponseRow): Promise<void> {
    if (job !== null) await shardStub(this.env, shardOfJobId(job) ?? 0).cancel(job, tenant);
  }

  /** @returns false where there is none, and nothing finished that could go */
  #makeRoom({ tenant, input }: NewResponse): boolean {
    const { responsesMax, bytesMax } = limitsOfTenant(tenant);
    while (this.#rows.usage.responses >= responsesMax) if (!this.#rows.evict(null)) return false;
    while (this.#rows.usage.bytes + input.length > bytesMax) if (!this.#rows.evict(null)) break;
    return true;
  }

  #show(row: ResponseRow, status: JobStatus): StoredResponse {
    return {
      job: row.job,
      rendering: JSON.parse(row.rendering),
      warnings: JSON.parse(row.warnings),
      state: this.#stateOf(row, status),
    };
  }

  #stateOf(row: ResponseRow, status: JobStatus): StoredResponse["state"] {
    switch (row.status) {
      case "open":
        return { kind: "open", status };
      case "succeeded":
        return { kind: "succeeded", document: this.#smallDocument(row) };
      case "failed":
        return { kind: "failed", error: JSON.parse(row.error ?? "null") };
      case "canceled":
        return { kind: "canceled" };
    }
  }

  #smallDocument(row: ResponseRow): string | null {
    const small = this.#rows.bytesOf(row, "result") <= limits.inlineResultBytesMax;
    return small ? this.#rows.read(row, "result") : null;
  }

  async #keepAlarm(): Promise<void> {
    const { look, oldest } = this.#rows.times();
    const times = [look, oldest === null ? null : oldest + keptMs + 1].filter((at) => at !== null);
    if (times.length === 0) return;
    const at = Math.min(...times);
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }
}

/** Where items of these ids are, each place once. */
function placesOf(ids: Iterable<string>): Iterable<ItemPlace> {
  const places = new Map<string, ItemPlace>();
  for (const id of ids) {
    const place = placeOfItem(id);
    if (place !== null) places.set(`${place.response} ${place.side}`, place);
  }
  return places.values();
}

const keptMs = 1_000 * limitsOfTenant("operator").keptSeconds;

const lost: PublicError = {
  code: "worker_lost",
  message: "This response was lost before its work began. Send the request again.",
  param: null,
};

const gone: PublicError = {
  code: "worker_lost",
  message: "What was written was gone before it could be kept. Send the request again.",
  param: null,
};

/** Of a large result no more is in memory than of one: all that are kept here may share an isolate. */
const large = new ByteSemaphore({
  bytesMax: limits.resultBytesMax,
  holdMsMax: 60_000,
  now: () => Date.now(),
});
const never = new AbortController().signal;
/** Of a larger document the items are kept beside it, so that it need not be read with all its log probabilities. */
const itemsApartCharacters = 64 * 1024;

async function endOf(
  env: Env,
  id: string,
  stored: StoredResult,
  told: Told | null,
): Promise<ResponseEnd> {
  if (stored.kind === "inline") return succeeded(id, stored.document, told);
  const release = await large.acquire(stored.reference.bytes, never);
  try {
    const document = await documentOf(env, stored);
    return document === null
      ? { status: "failed", error: gone, told: null }
      : succeeded(id, document, told);
  } finally {
    release();
  }
}

function succeeded(id: string, document: string, told: Told | null): ResponseEnd {
  const apart = document.length > itemsApartCharacters;
  const output = apart ? JSON.stringify(itemsIn(id, document)) : null;
  return { status: "succeeded", document, output, told };
}

/** @returns null where it is gone from object storage @throws where that cannot be read */
async function documentOf(env: Env, stored: StoredResult): Promise<string | null> {
  const open = await openResult(stored, settingsOf(env));
  if (open === null) return null;
  let document = `${JSON.stringify(open.head)}\n`;
  for await (const line of open.lines()) document += `${line}\n`;
  return document;
}
