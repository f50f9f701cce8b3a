/** Fires when nothing has been done for a while, once after each busy time. */

export type IdleTimerOptions = {
  afterMs: number;
  /** Whether something is under way. */
  isBusy(): boolean;
  onIdle(): void;
};

export class IdleTimer {
  readonly #timer: NodeJS.Timeout;

  constructor({ afterMs, isBusy, onIdle }: IdleTimerOptions) {
    this.#timer = setTimeout(() => {
      if (!isBusy()) onIdle();
    }, afterMs).unref();
  }

  /** Something has ended: the idle time may begin. */
  restart(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
