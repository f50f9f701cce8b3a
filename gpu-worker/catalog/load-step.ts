/** What goes on with a model on its way into memory, for whoever watches. */

/** `progress` is 0…1, null where it cannot be told. */
export type LoadStep = { doing: "fetching" | "loading"; words: string; progress: number | null };

export type Watch = { onStep: (step: LoadStep) => void; signal: AbortSignal };
