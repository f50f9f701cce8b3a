/** What a run of so many tokens was measured to take. */
export type RunCost = { readonly tokens: number; readonly seconds: number };
