/** What was asked for cannot be trained, or not so: in words for whoever asked, with what to do. */
export class TuningError extends Error {
  /** The option at fault, as the API names it. */
  readonly param: string | null;

  constructor(message: string, { param, ...options }: ErrorOptions & { param?: string } = {}) {
    super(message, options);
    this.param = param ?? null;
  }
}
