/** How the one label of a cross-encoder becomes a score. */
export const scoreActivations = ["sigmoid", "linear", "tanh"] as const;

export type CrossEncoder = {
  readonly activation: (typeof scoreActivations)[number];
  /** Put before the query; empty for none. */
  readonly prompt: string;
};
