/** What is being generated: a request, and each of its choices as a text that grows. */
import type { Tenant } from "../batching/fair-queueing.ts";
import type {
  GeneratedToken,
  GenerationEnd,
  GenerationHandlers,
  GenerationRequest,
} from "../model/generation.ts";
import type { EngineRequest } from "./engine-request.ts";
import type { Guide } from "./guide.ts";
import type { PromptLookup } from "./prompt-lookup.ts";

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
  /** Its other choices may begin: the first has its prompt read, or needs it no more. */
  spread: boolean;
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
  /** It has made a token since it got its slot: what is missing is computed with the tokens of others. */
  writes: boolean;
  /** Tokens of the prompt that were told to be computed, or need not be. */
  promptTold: number;
  /** To its constraint. Null: it has none, or not yet. */
  guide: Guide | null;
  /** The last of its tokens, which its caller gets when it stands. */
  held: GeneratedToken | null;
  /** Those that come next, where their log probabilities are wanted: each as soon as it has them. */
  readonly certain: CertainToken[];
  /** What comes next was not known when its row was there: it is computed again, when it is. */
  stalled: boolean;
  /** Steps that do not wait for what comes next in it. */
  unawaited: number;
  /** Null: nothing is guessed. */
  lookup: PromptLookup | null;
  /** Milliseconds: when several of its tokens were last computed in one step. */
  aheadAt: number;
  ended: boolean;
};

export type CertainToken = {
  readonly token: number;
  /** It closes the text, as no more would fit. */
  readonly closing: boolean;
};

export function newText(id: string, generation: Generation, choice: number): Text {
  const { prompt } = generation.request;
  return {
    id,
    generation,
    choice,
    tokens: [...prompt],
    counts: new Map(),
    computed: 0,
    slot: null,
    admittedTokens: 0,
    writes: false,
    promptTold: choice === 0 ? 0 : prompt.length,
    guide: null,
    held: null,
    certain: [],
    stalled: false,
    unawaited: 0,
    lookup: null,
    aheadAt: 0,
    ended: false,
  };
}

export function generatedTokens({ tokens, generation }: Text): number {
  return tokens.length - generation.request.prompt.length;
}

/** Log probabilities are told of what it consists of: no token without those of its row. */
export function isScored({ sampling, promptLogprobs }: GenerationRequest): boolean {
  return sampling.topLogprobs !== null || promptLogprobs;
}

export function append({ tokens, counts }: Text, token: number): void {
  tokens.push(token);
  counts.set(token, (counts.get(token) ?? 0) + 1);
}

/** Its last token. What was computed with it is overwritten. */
export function takeBack(text: Text): void {
  const { tokens, counts } = text;
  const token = tokens.pop();
  if (token === undefined) return;
  const count = (counts.get(token) ?? 1) - 1;
  if (count > 0) counts.set(token, count);
  else counts.delete(token);
  text.computed = Math.min(text.computed, tokens.length - 1);
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
    stalled: text.stalled,
  };
}

type PlannedFields = Pick<EngineRequest, "startTag"> &
  Partial<Pick<EngineRequest, "overdueSince" | "cachedTokens">>;

export function progressOf({ tokens, computed, writes, generation }: Text) {
  return {
    knownTokens: tokens.length,
    promptTokens: generation.request.prompt.length,
    computedTokens: computed,
    writes,
  };
}
