/** What is being generated: a request, and each of its choices as a text that grows. */
import type { Tenant } from "../batching/fair-queueing.ts";
import type {
  GeneratedToken,
  GenerationEnd,
  GenerationHandlers,
  GenerationRequest,
} from "../model/generation.ts";
import type { EngineRequest } from "./engine-request.ts";

export type Generation = {
  readonly request: GenerationRequest;
  readonly handlers: GenerationHandlers;
  readonly tenant: Tenant;
  /** That its texts are computed with, as the session counts them; 0: none. */
  readonly adapter: number;
  readonly arrival: number;
  readonly promptTokens: ReadonlySet<number>;
  /** Of the prompt, by position, as they become known; null: they are not wanted, or were told. */
  promptScores: (GeneratedToken | null)[] | null;
  cachedTokens: number;
  /** Its choices that have not ended. */
  readonly texts: Set<Text>;
  /** Settled, whatever still runs for it. */
  closed: boolean;
  /** To the caller's signal, until it is closed. */
  readonly listening: Disposable;
  readonly resolve: (end: GenerationEnd) => void;
  readonly reject: (reason: unknown) => void;
};

export type Text = {
  readonly id: string;
  readonly generation: Generation;
  readonly choice: number;
  /** The prompt's and those generated. */
  readonly tokens: number[];
  /** Token → how often it was generated. */
  readonly counts: Map<number, number>;
  /** Tokens whose keys and values are in its slot. */
  computed: number;
  slot: number | null;
  /** Those known when it got its slot. */
  admittedTokens: number;
  /** Tokens of the prompt that were told to be computed, or need not be. */
  promptTold: number;
  ended: boolean;
};

export function generatedTokens({ tokens, generation }: Text): number {
  return tokens.length - generation.request.prompt.length;
}

/** As the plan of a step sees it. @param fields what it does not know of itself */
export function plannedText(
  text: Text,
  { overdueSince = null, cachedTokens = 0, startTag }: PlannedFields,
): EngineRequest {
  const { id, generation, tokens, slot, admittedTokens } = text;
  const { tenant, arrival } = generation;
  return {
    id,
    tenant,
    startTag,
    overdueSince,
    arrival,
    ...progressOf(text),
    cachedTokens,
    turnTokens: slot === null ? 0 : tokens.length - admittedTokens,
    slot,
    cancelled: false,
  };
}

type PlannedFields = Pick<EngineRequest, "startTag"> &
  Partial<Pick<EngineRequest, "overdueSince" | "cachedTokens">>;

export function progressOf({ tokens, computed, generation }: Text) {
  return {
    knownTokens: tokens.length,
    promptTokens: generation.request.prompt.length,
    computedTokens: computed,
  };
}
