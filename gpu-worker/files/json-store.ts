/**
 * Values by key, measured once and kept in one JSON file of the state folder. A file that is missing or damaged holds
 * none: what is not found is measured again. Other processes may keep theirs in the same file.
 */
import * as z from "zod";
import { readNote } from "./json-file.ts";
import { writeAtomically } from "./write-atomically.ts";

export class JsonStore<T> {
  readonly #file: string;
  readonly #schema: z.ZodType<Record<string, T>>;
  readonly #entriesMax: number;
  /** One after the other: of values kept at once, each is. */
  #writing: Promise<unknown> = Promise.resolve();

  /** @param entriesMax past which the values that were kept first are forgotten */
  constructor(file: string, value: z.ZodType<T>, entriesMax = Infinity) {
    this.#file = file;
    this.#schema = z.record(z.string(), value);
    this.#entriesMax = entriesMax;
  }

  /** Null: none is kept. */
  async find(key: string): Promise<T | null> {
    return (await this.#read()).get(key) ?? null;
  }

  /** @throws the file system's error */
  keep(key: string, value: T): Promise<void> {
    const kept = this.#writing.then(() => this.#add(key, value));
    this.#writing = kept.catch(() => undefined);
    return kept;
  }

  async #read(): Promise<Map<string, T>> {
    return new Map(Object.entries((await readNote(this.#file, this.#schema)) ?? {}));
  }

  async #add(key: string, value: T): Promise<void> {
    const all = await this.#read();
    // The newest stands last.
    all.delete(key);
    all.set(key, value);
    const newest = [...all].slice(-this.#entriesMax);
    await writeAtomically(this.#file, `${JSON.stringify(Object.fromEntries(newest), null, 2)}\n`);
  }
}
