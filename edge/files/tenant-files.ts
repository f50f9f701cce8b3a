/**
 * The Durable Object that owns the files of one key: how much it stores, which files there are, and the checks of what
 * is in them. It gives its parts a clock, storage and the network. Bytes pass it by: the route writes them to the
 * bucket.
 */
import { DurableObject } from "cloudflare:workers";
import type { ObjectReference } from "#contract/object-reference.ts";
import { type Env, settingsOf } from "../environment.ts";
import { deleteObject } from "../storage/object-writer.ts";
import { type FilePage, FileRows } from "./file-rows.ts";
import { FileCheck } from "./file-check.ts";
import { storageLimits, type StorageRefusal } from "./storage-limits.ts";
import { keyOfReport, type StoredFile } from "./stored-file.ts";

/** An upload that was not heard of for so long has lost its isolate. */
const quietSecondsMax = 90;
/** Files of a page whose verdicts are looked for. */
const settledAtOnce = 20;
/** Bytes that could not be deleted are tried again after this long. */
const againMs = 60_000;

declare module "../environment.ts" {
  interface Env {
    readonly FILES: DurableObjectNamespace<TenantFiles>;
  }
}

export class TenantFiles extends DurableObject<Env> {
  readonly #rows: FileRows;
  readonly #check: FileCheck;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#rows = new FileRows(ctx.storage.sql);
    this.#check = new FileCheck(this.#rows, env);
  }

  /** Takes room for an upload of so many bytes at most. @returns what there is too little of; null: nothing */
  async begin(id: string, bytes: number): Promise<StorageRefusal | null> {
    const usage = this.#rows.usage();
    if (usage.bytes + bytes > storageLimits.storedBytesMax) return "bytes";
    if (usage.files >= storageLimits.filesMax) return "files";
    if (usage.uploads >= storageLimits.uploadsMax) return "uploads";
    this.#rows.begin(id, bytes, seconds());
    await this.#keepAlarm();
    return null;
  }

  /** Part of an upload has arrived. */
  hear(id: string): void {
    this.#rows.hear(id, seconds());
  }

  /** The bytes are there. @returns whether the upload was still awaited */
  async end(tenant: string, file: StoredFile): Promise<boolean> {
    if (!this.#rows.end(file)) return false;
    this.ctx.waitUntil(this.#check.settle(tenant, file.id));
    await this.#keepAlarm();
    return true;
  }

  /** Takes a file that is the platform's own work, and whose bytes are in the bucket. Again, it changes nothing. */
  adopt(file: StoredFile): void {
    this.#rows.adopt(file);
  }

  /** The upload came to nothing: what there is of it is deleted. */
  async discard(id: string): Promise<void> {
    await this.#delete(id);
  }

  async find(tenant: string, id: string): Promise<StoredFile | null> {
    await this.#check.settle(tenant, id);
    return this.#rows.find(id);
  }

  async page(tenant: string, page: FilePage): Promise<StoredFile[] | null> {
    const found = this.#rows.page(page);
    const open = found?.filter(({ status }) => status === "uploaded") ?? [];
    if (open.length === 0) return found;
    const asked = open.slice(0, settledAtOnce);
    await Promise.all(asked.map(({ id }) => this.#check.settle(tenant, id)));
    return this.#rows.page(page);
  }

  /** Where it lies; null: there is none yet, or no such file. */
  report(id: string): ObjectReference | null {
    return this.#rows.report(id);
  }

  /** @returns whether there was such a file */
  async remove(id: string): Promise<boolean> {
    if (this.#rows.find(id) === null) return false;
    await this.#delete(id);
    return true;
  }

  async #delete(id: string): Promise<void> {
    this.#rows.markDeleted(id);
    await this.ctx.storage.setAlarm(Date.now());
  }

  override async alarm(): Promise<void> {
    const now = seconds();
    this.#rows.expire(now, now - quietSecondsMax);
    await this.#deleteObjects();
    await this.#keepAlarm();
  }

  /** One after the other; what fails is tried again by the next alarm. */
  async #deleteObjects(): Promise<void> {
    const settings = settingsOf(this.env);
    for (const { id, key } of this.#rows.deleted()) {
      try {
        await deleteObject(settings, key);
        await deleteObject(settings, keyOfReport(id));
        this.#rows.remove(id);
      } catch (error) {
        console.error(JSON.stringify({ event: "file.not_deleted", id, reason: String(error) }));
      }
    }
  }

  async #keepAlarm(): Promise<void> {
    const [expiry, upload] = [this.#rows.nextExpiry(), this.#rows.quietestUpload()];
    const times = [
      expiry === null ? null : expiry * 1_000,
      upload === null ? null : (upload + quietSecondsMax) * 1_000,
      this.#rows.deleted().length > 0 ? Date.now() + againMs : null,
    ].filter((time) => time !== null);
    if (times.length > 0) await this.ctx.storage.setAlarm(Math.min(...times));
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1_000);
}
