/**
 * Which leases the training processes of this machine hold, a note each under `STATE/training-leases`: so that a
 * process which starts can say at once of one that was killed that its lease is lost. A holder is dead for sure only
 * where its process number can be judged: in the same boot, the same namespace of processes, and not another process's
 * by now. Where that cannot be told, as on another machine that shares the folder, the lease lapses.
 */
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { TuningOrder } from "#contract/training/tuning-job.ts";
import { readNote } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import type { ProcessTable } from "./process-table.ts";

const LeaseNote = z.object({
  version: z.literal(1),
  order: TuningOrder.pick({ id: true, tenant: true, lease: true }),
  /** Boot and namespace in which the number of the process means something. */
  machine: z.string().min(1),
  pid: z.int().positive(),
  /** Of the process, as its process table has it. */
  startedAt: z.string().min(1),
});
type LeaseNote = z.infer<typeof LeaseNote>;
export type HeldLease = LeaseNote["order"];

export class LeaseNotes {
  readonly #folder: string;
  readonly #processes: ProcessTable;
  readonly #pid: number;

  constructor(stateFolder: string, processes: ProcessTable, pid: number) {
    this.#folder = path.join(stateFolder, "training-leases");
    this.#processes = processes;
    this.#pid = pid;
  }

  /** @throws the file system's error */
  async hold({ id, tenant, lease }: HeldLease): Promise<void> {
    const { machine } = this.#processes;
    const startedAt = this.#processes.startOf(this.#pid);
    if (machine === null || startedAt === null) return;
    const order = { id, tenant, lease };
    const note: LeaseNote = { version: 1, order, machine, pid: this.#pid, startedAt };
    await writeAtomically(this.#file(id), JSON.stringify(note));
  }

  /** It is over; a note of another lease of that job stays. */
  async release({ id, lease }: HeldLease): Promise<void> {
    const note = await readNote(this.#file(id), LeaseNote);
    if (note?.order.lease === lease) await rm(this.#file(id), { force: true });
  }

  /** Leases whose holder is dead. */
  async lost(): Promise<HeldLease[]> {
    const { machine } = this.#processes;
    if (machine === null) return [];
    const notes = await Promise.all(
      this.#names().map((name) => readNote(path.join(this.#folder, name), LeaseNote)),
    );
    const own = notes.filter((note) => note !== null && note.machine === machine);
    return own.flatMap((note) =>
      note === null || this.#processes.startOf(note.pid) === note.startedAt ? [] : [note.order],
    );
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => name.endsWith(".json"));
    } catch {
      return [];
    }
  }

  #file(id: string): string {
    return path.join(this.#folder, `${id}.json`);
  }
}
