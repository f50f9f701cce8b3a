/** Notices when nothing has been done for a while, once after each time that something was. */

export type QuietTimeOptions = {
  afterMs: number;
  /** Something is being done that has not ended. */
  isBusy(): boolean;
  onQuiet(): void;
};

export class QuietTime {
  readonly #timer: NodeJS.Timeout;

  constructor({ afterMs, isBusy, onQuiet }: QuietTimeOptions) {
    this.#timer = setTimeout(() => {
      if (!isBusy()) onQuiet();
    }, afterMs).unref();
  }

  /** Something has ended: from now on it may be quiet. */
  begin(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
