/**
 * Events of tuning jobs as server-sent events: all after one, then each as it comes, until the job ends. Nothing is
 * held for a reader but what it is being given: the rows are the buffer.
 */
import { commentText } from "../answers/stream-surfaces.ts";
import type { NumberedEvent } from "./tuning-events.ts";

const readAtOnce = 100;
const keepAliveMs = 15_000;

export type Tail = {
  /** Events after one, the oldest first, so many at most. */
  following: (after: number, limit: number) => NumberedEvent[];
  /** No event follows. */
  isOver: () => boolean;
};

export class EventTails {
  /** By job, what wakes its readers. */
  readonly #readers = new Map<string, Set<() => void>>();

  /** Something has happened to the job. */
  wake(job: string): void {
    for (const wake of this.#readers.get(job) ?? []) wake();
  }

  /** @param after number of the last event that the reader has; 0: it has none */
  open(job: string, after: number, tail: Tail): ReadableStream {
    const { readable, writable } = new IdentityTransformStream();
    const writer = writable.getWriter();
    void this.#run(job, after, tail, writer).catch(() => {
      // The reader has left.
    });
    return readable;
  }

  async #run(
    job: string,
    after: number,
    tail: Tail,
    writer: WritableStreamDefaultWriter<Uint8Array>,
  ): Promise<void> {
    const write = (text: string) => writer.write(new TextEncoder().encode(text));
    let last = after;
    for (;;) {
      // Before the events are read: what comes after that is the last there is.
      const over = tail.isOver();
      const events = tail.following(last, readAtOnce);
      last = events.at(-1)?.number ?? last;
      if (events.length > 0) await write(events.map(textOf).join(""));
      else if (over) break;
      else if (!(await this.#isWoken(job))) await write(commentText("keep-alive"));
    }
    await write("data: [DONE]\n\n");
    await writer.close();
  }

  /** @returns false where nothing happened for a while */
  #isWoken(job: string): Promise<boolean> {
    const readers = this.#readers.get(job) ?? new Set();
    this.#readers.set(job, readers);
    return new Promise((resolve) => {
      const end = (woken: boolean) => {
        clearTimeout(timer);
        readers.delete(wake);
        if (readers.size === 0) this.#readers.delete(job);
        resolve(woken);
      };
      const wake = () => end(true);
      const timer = setTimeout(() => end(false), keepAliveMs);
      readers.add(wake);
    });
  }
}

function textOf({ number, event }: NumberedEvent): string {
  return `id: ${number}\ndata: ${JSON.stringify(event)}\n\n`;
}
