/**
 * Events that tell tokens, on their way to a shard: those that were not sent, those that were and are not
 * acknowledged, and, until their computation ends, those that were: a shard that was struck down meanwhile is told all
 * of it again, cut as before. In order, and bounded: the result of a computation repeats all of it, so that past the
 * bound events are left out, and the shard waits for the result instead.
 */
import type { TokensEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";

export type QueuedTokens = { event: TokensEvent; json: string };

const charactersMax = 8 * 1024 * 1024;
/** Of those that were acknowledged. Past it a computation has none: without its beginning they are of no use. */
const toldCharactersMax = 4 * 1024 * 1024;
const perMessageMax = 500;
const charactersPerMessageMax = 256 * 1024;

export class TokenQueue {
  #unsent: QueuedTokens[] = [];
  #sent: QueuedTokens[] = [];
  #characters = 0;
  /** Null: some were left out. */
  readonly #told = new Map<JobId, QueuedTokens[] | null>();
  #toldCharacters = 0;

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  add(event: TokensEvent): void {
    const json = JSON.stringify(event);
    if (this.#characters + json.length > charactersMax) return this.#forget(event.jobId);
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
    for (const each of this.#sent) if (done.has(each)) this.#remember(each);
    this.#sent = this.#sent.filter((each) => !done.has(each));
    this.#count();
  }

  /** All of it goes again: whoever was told may have forgotten it. */
  tellAnew(): void {
    const told = [...this.#told.values()].flatMap((each) => each ?? []);
    for (const [id, each] of this.#told) if (each !== null) this.#told.delete(id);
    this.#toldCharacters = 0;
    this.#unsent = [...told, ...this.#sent, ...this.#unsent];
    this.#sent = [];
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
    this.#forget(id);
    this.#told.delete(id);
    this.#count();
  }

  #remember(tokens: QueuedTokens): void {
    const { jobId } = tokens.event;
    const told = this.#told.get(jobId);
    if (told === null) return;
    const characters = this.#toldCharacters + tokens.json.length;
    if (characters > toldCharactersMax) return this.#forget(jobId);
    this.#toldCharacters = characters;
    if (told === undefined) this.#told.set(jobId, [tokens]);
    else told.push(tokens);
  }

  #forget(id: JobId): void {
    this.#toldCharacters -= charactersOf(this.#told.get(id) ?? []);
    this.#told.set(id, null);
  }

  #count(): void {
    this.#characters = charactersOf(this.#unsent) + charactersOf(this.#sent);
  }
}

function charactersOf(tokens: readonly QueuedTokens[]): number {
  return tokens.reduce((sum, { json }) => sum + json.length, 0);
}
