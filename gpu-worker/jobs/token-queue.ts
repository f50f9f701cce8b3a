/**
 * Events that tell tokens, on their way to a shard: those that were not sent, and those that were and are not
 * acknowledged, in order. Bounded: the result of a computation repeats all of it, so that past the bound events are
 * left out, and the shard waits for the result instead.
 */
import type { TokensEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";

export type QueuedTokens = { event: TokensEvent; json: string };

const charactersMax = 8 * 1024 * 1024;
const perMessageMax = 500;
const charactersPerMessageMax = 256 * 1024;

export class TokenQueue {
  #unsent: QueuedTokens[] = [];
  #sent: QueuedTokens[] = [];
  #characters = 0;

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  add(event: TokensEvent): void {
    const json = JSON.stringify(event);
    if (this.#characters + json.length > charactersMax) return;
    this.#characters += json.length;
    this.#unsent.push({ event, json });
  }

  /** @returns what one message takes, sent from now on, until it is acknowledged or `putBack` */
  take(): QueuedTokens[] {
    let characters = 0;
    const count = this.#unsent.findIndex(({ json }, index) => {
      characters += json.length;
      return index > 0 && (index >= perMessageMax || characters > charactersPerMessageMax);
    });
    const taken = this.#unsent.splice(0, count === -1 ? this.#unsent.length : count);
    this.#sent.push(...taken);
    return taken;
  }

  acknowledge(taken: readonly QueuedTokens[]): void {
    if (taken.length === 0) return;
    const done = new Set(taken);
    this.#sent = this.#sent.filter((each) => !done.has(each));
    this.#count();
  }

  /** What was sent and is not acknowledged goes again, before what comes after it. */
  putBack(): void {
    this.#unsent = [...this.#sent, ...this.#unsent];
    this.#sent = [];
  }

  /** Its end is on the way, which says all. */
  drop(id: JobId): void {
    const others = ({ event }: QueuedTokens) => event.jobId !== id;
    this.#unsent = this.#unsent.filter(others);
    this.#sent = this.#sent.filter(others);
    this.#count();
  }

  #count(): void {
    const all = [...this.#unsent, ...this.#sent];
    this.#characters = all.reduce((sum, { json }) => sum + json.length, 0);
  }
}
