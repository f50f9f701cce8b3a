/**
 * Sends messages in batches: the first goes at once, those that come while a send is in flight wait for it and go
 * together, and a full batch never waits. A failed send is tried again, with growing pauses, for as long as somebody
 * wants the message. A batch that is refused or fails as a whole may do so for one message's sake: it is halved, until
 * that one is alone; what failed goes behind what was not tried. Order is not kept. What a batch is made of and how it
 * travels is the caller's.
 */
export type Outgoing = { id: string; body: string; bytes: number; group: string };
export type SendOutcome = "sent" | "refused" | "retry";

type Rules = {
  entriesMax: number;
  /** Of all bodies of a batch. */
  bytesMax: number;
  /** Batches on their way at once. */
  inFlightMax: number;
  pauseMsMin: number;
  pauseMsMax: number;
};

type Dependencies = {
  /** One outcome per entry, in order; or `refused`, the batch as a whole. A rejection means `retry` for all. */
  sendBatch: (batch: readonly Outgoing[]) => Promise<SendOutcome[] | "refused">;
  isWanted: (id: string) => boolean;
  onSent: (id: string) => void;
  onRefused: (id: string) => void;
  onFailure: (error: unknown) => void;
  /** @returns 0…1 */
  random: () => number;
};

/** `batchMax`: how many messages may travel with it, itself included; less once a batch it was in came to nothing. */
type Waiting = { message: Outgoing; batchMax: number };

export class CoalescingSender {
  readonly #rules: Rules;
  readonly #dependencies: Dependencies;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #failures = 0;
  #paused = false;

  constructor(rules: Rules, dependencies: Dependencies) {
    this.#rules = rules;
    this.#dependencies = dependencies;
  }

  send(message: Outgoing): void {
    this.#waiting.push({ message, batchMax: this.#rules.entriesMax });
    this.#pump();
  }

  #pump(): void {
    while (this.#mayStart()) {
      const batch = this.#takeBatch();
      if (batch.length > 0) void this.#transmit(batch);
    }
  }

  #mayStart(): boolean {
    if (this.#paused || this.#waiting.length === 0) return false;
    if (this.#inFlight === 0) return true;
    const full = this.#waiting.length >= this.#rules.entriesMax;
    return full && this.#inFlight < this.#rules.inFlightMax;
  }

  #takeBatch(): Outgoing[] {
    const batch: Outgoing[] = [];
    let bytes = 0;
    let taken = 0;
    let countMax = this.#rules.entriesMax;
    for (const { message, batchMax } of this.#waiting) {
      const fits = batch.length === 0 || bytes + message.bytes <= this.#rules.bytesMax;
      if (batch.length >= Math.min(countMax, batchMax) || !fits) break;
      taken += 1;
      if (!this.#dependencies.isWanted(message.id)) continue;
      batch.push(message);
      countMax = Math.min(countMax, batchMax);
      bytes += message.bytes;
    }
    this.#waiting.splice(0, taken);
    return batch;
  }

  async #transmit(batch: Outgoing[]): Promise<void> {
    this.#inFlight += 1;
    try {
      const outcomes = await this.#dependencies.sendBatch(batch);
      if (outcomes === "refused") this.#refuse(batch);
      else this.#settle(batch, outcomes);
    } catch (error) {
      this.#dependencies.onFailure(error);
      this.#waiting.push(...halved(batch));
      this.#pause();
    } finally {
      this.#inFlight -= 1;
      this.#pump();
    }
  }

  /** The queue answers, so there is nothing to wait for. */
  #refuse(batch: readonly Outgoing[]): void {
    this.#failures = 0;
    const [only, ...others] = batch;
    if (others.length > 0) this.#waiting.unshift(...halved(batch));
    else if (only !== undefined) this.#dependencies.onRefused(only.id);
  }

  #settle(batch: readonly Outgoing[], outcomes: readonly SendOutcome[]): void {
    const again: Waiting[] = [];
    batch.forEach((message, index) => {
      const outcome = outcomes[index] ?? "retry";
      if (outcome === "sent") this.#dependencies.onSent(message.id);
      else if (outcome === "refused") this.#dependencies.onRefused(message.id);
      else again.push({ message, batchMax: this.#rules.entriesMax });
    });
    if (again.length < batch.length) this.#failures = 0;
    if (again.length === 0) return;
    this.#waiting.push(...again);
    this.#pause();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    const { pauseMsMin, pauseMsMax } = this.#rules;
    const pauseMs = Math.min(pauseMsMax, pauseMsMin * 2 ** this.#failures);
    this.#failures += 1;
    // Between half and the whole pause, so that shards that failed together do not come back together.
    setTimeout(
      () => {
        this.#paused = false;
        this.#pump();
      },
      pauseMs * (0.5 + 0.5 * this.#dependencies.random()),
    );
  }
}

/** The messages of a batch that came to nothing, to be sent in batches half as large. */
function halved(batch: readonly Outgoing[]): Waiting[] {
  const batchMax = Math.ceil(batch.length / 2);
  return batch.map((message) => ({ message, batchMax }));
}
