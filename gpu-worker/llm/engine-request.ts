/** What the plan of a step knows of each text, and how much a step may do. */

export type EngineRequest = {
  id: string;
  tenant: string | symbol;
  /** Of what its tenant is served next. */
  startTag: number;
  /** Milliseconds: when a request that has waited beyond its bound began to wait; null: not overdue. */
  overdueSince: number | null;
  /** Counts up over all requests. */
  arrival: number;
  /** Tokens of the prompt and those generated: what a preempted request continues with. */
  knownTokens: number;
  /** Its own tokens are read in pieces, the last one too: see `decodes` of step-plan.ts. */
  promptTokens: number;
  /** Tokens whose keys and values are in the slot; always fewer than the known ones. */
  computedTokens: number;
  /** It has made a token since it got its slot: whatever is missing of it is computed a token a step. */
  writes: boolean;
  /** Tokens at its beginning whose keys and values a slot can be given without computing them. */
  cachedTokens: number;
  /** Generated since it got its slot. */
  turnTokens: number;
  /** Null: it waits. */
  slot: number | null;
  /** It is not known what may come next in it: nothing of it is computed. */
  stalled: boolean;
};

export type StepLimits = {
  slots: number;
  /** One step computes no more tokens; at least `slots`, so that whatever runs can decode. */
  stepTokensMax: number;
  /**
   * Tokens in the one piece of a prompt that a step reads while anything decodes, at least 1: the bound of the time
   * between two tokens. A second piece would be a run of its own, which reads all weights again.
   */
  quantumTokens: number;
  /** Texts of another model, which make tokens between its steps, or batches of encoders. */
  othersWait: boolean;
  /** Tokens whose keys and values fit in memory, over all slots. */
  memoryTokens: number;
  /** Memory is held in whole blocks of so many tokens. */
  blockTokens: number;
};

/** Negative where `a` is served before `b`. */
export function inServiceOrder(a: EngineRequest, b: EngineRequest): number {
  return compareWaits(a, b) || a.startTag - b.startTag || a.arrival - b.arrival;
}

function compareWaits(a: EngineRequest, b: EngineRequest): number {
  const [since, other] = [a.overdueSince ?? Infinity, b.overdueSince ?? Infinity];
  return since === other ? 0 : since - other;
}

/** Memory for all known tokens, so that a prompt once begun is not short of it. */
export function memoryOf({ knownTokens }: EngineRequest, { blockTokens }: StepLimits): number {
  return Math.ceil(knownTokens / blockTokens) * blockTokens;
}
