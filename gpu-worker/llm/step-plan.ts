/**
 * Which tokens the next step computes: continuous batching as a function over plain records, which knows no model and
 * no clock. Every running request that decodes gets its one token; what is left of the step's budget goes to chunks of
 * prompts. Nothing changes until the step has run and `commitStep` says what became of it.
 *
 * Service order is that of batching/slot-policy.ts: those overdue, the longest wait first, then by start tag (those of
 * batching/fair-queueing.ts, which the caller keeps), then by arrival. The first of those that wait is never overtaken
 * by another that waits, and the last in service order gives its slot up where memory is short: the first one that runs
 * always goes on, so every request ends.
 */

export type EngineRequest = {
  id: string;
  tenant: string | symbol;
  /** Start tags of its shares of prompt, each of `shareTokens`. */
  startTags: { first: number; step: number };
  /** Milliseconds: when a request that has waited beyond its bound began to wait; null: not overdue. */
  overdueSince: number | null;
  /** Counts up over all requests. */
  arrival: number;
  /** Tokens of the prompt and those generated: what a preempted request continues with. */
  knownTokens: number;
  /** Its own tokens are read in pieces, the last one too: see `decodes`. */
  promptTokens: number;
  /** Tokens whose keys and values are in the slot; always fewer than the known ones. */
  computedTokens: number;
  /** Tokens at its beginning whose keys and values a slot can be given without computing them. */
  cachedTokens: number;
  /** Null: it waits. */
  slot: number | null;
  cancelled: boolean;
};

export type StepLimits = {
  slots: number;
  /** One step computes no more tokens; at least `slots`, so that whatever runs can decode. */
  stepTokensMax: number;
  /** Tokens of prompts in one step while anything decodes, at least 1: the bound of the time between two tokens. */
  quantumTokens: number;
  /** Tokens of prompt between two start tags: the quantum of a tenant's fair share. */
  shareTokens: number;
  /** Tokens whose keys and values fit in memory, over all slots. */
  memoryTokens: number;
  /** Memory is held in whole blocks of so many tokens. */
  blockTokens: number;
};

export type PromptChunk = {
  id: string;
  /** Position of its first token. */
  from: number;
  tokens: number;
  /** Its last token is the last one known: the next token is sampled from it. */
  last: boolean;
};

export type StepPlan = {
  /** Cancelled: they leave, with their slot if they have one. */
  leave: string[];
  /** More tokens than the memory holds at all: they fail. */
  outgrown: string[];
  /** They lose their slot and what was computed, and wait again. */
  preempt: string[];
  admit: { id: string; slot: number; cachedTokens: number }[];
  /** One token each. */
  decode: string[];
  prefill: PromptChunk[];
};

export function planStep(requests: readonly EngineRequest[], limits: StepLimits): StepPlan {
  checkLimits(limits);
  const leave = requests.filter(({ cancelled }) => cancelled);
  const staying = requests.filter(({ cancelled }) => !cancelled).toSorted(inServiceOrder);
  const outgrown = staying.filter((request) => memoryOf(request, limits) > limits.memoryTokens);
  const able = staying.filter((request) => memoryOf(request, limits) <= limits.memoryTokens);
  const { kept, preempted } = keepInMemory(able.filter(runs), limits);
  const waiting = preempted.length === 0 ? able.filter((request) => !runs(request)) : [];
  const admitted = admit(waiting, kept, limits);
  const running = [...kept, ...admitted].toSorted(inServiceOrder);
  const decoding = running.filter(decodes);
  return {
    leave: leave.map(({ id }) => id),
    outgrown: outgrown.map(({ id }) => id),
    preempt: preempted.map(({ id }) => id),
    admit: admitted.map(({ id, slot, computedTokens }) => ({
      id,
      slot,
      cachedTokens: computedTokens,
    })),
    decode: decoding.map(({ id }) => id),
    prefill: planChunks(running, decoding.length, limits),
  };
}

/** The requests after a step that ran as planned; those whose token was sampled have yet to be given it. */
export function commitStep(requests: readonly EngineRequest[], plan: StepPlan): EngineRequest[] {
  const gone = new Set([...plan.leave, ...plan.outgrown]);
  const preempted = new Set(plan.preempt);
  const admitted = new Map(plan.admit.map((admission) => [admission.id, admission]));
  const computed = new Map(plan.prefill.map(({ id, tokens }) => [id, tokens]));
  for (const id of plan.decode) computed.set(id, 1);
  return requests
    .filter(({ id }) => !gone.has(id))
    .map((request) => {
      if (preempted.has(request.id)) return { ...request, slot: null, computedTokens: 0 };
      const admission = admitted.get(request.id);
      const from = admission?.cachedTokens ?? request.computedTokens;
      return {
        ...request,
        slot: admission?.slot ?? request.slot,
        computedTokens: from + (computed.get(request.id) ?? 0),
      };
    });
}

/** Requests from whose last row the next token is sampled. */
export function sampledIn(plan: StepPlan): string[] {
  return [...plan.decode, ...plan.prefill.filter(({ last }) => last).map(({ id }) => id)];
}

/** Negative where `a` is served before `b`. */
export function inServiceOrder(a: EngineRequest, b: EngineRequest): number {
  return compareWaits(a, b) || a.startTags.first - b.startTags.first || a.arrival - b.arrival;
}

function compareWaits(a: EngineRequest, b: EngineRequest): number {
  const [since, other] = [a.overdueSince ?? Infinity, b.overdueSince ?? Infinity];
  return since === other ? 0 : since - other;
}

function checkLimits({ slots, stepTokensMax, quantumTokens, blockTokens }: StepLimits): void {
  if (stepTokensMax < slots) {
    throw new RangeError(`${stepTokensMax} tokens a step are fewer than the ${slots} slots`);
  }
  if (quantumTokens < 1 || blockTokens < 1) throw new RangeError("a quantum or a block is empty");
}

type Running = EngineRequest & { slot: number };

function runs(request: EngineRequest): request is Running {
  return request.slot !== null;
}

/**
 * Whether its next token is computed with those of the others. A run over one token of a text adds in another order
 * than one over several, and what is rounded to 8 bits makes much of that: so the last token of a prompt is never
 * computed in this way, and a text is the same whether its prompt was cached or not.
 */
export function decodes({
  knownTokens,
  computedTokens,
  promptTokens,
}: Pick<EngineRequest, "knownTokens" | "computedTokens" | "promptTokens">): boolean {
  return knownTokens - computedTokens === 1 && (knownTokens > promptTokens || knownTokens === 1);
}

function missing({ knownTokens, computedTokens }: EngineRequest): number {
  return knownTokens - computedTokens;
}

/** Memory for all known tokens, so that a prompt once begun is not short of it. */
function memoryOf({ knownTokens }: EngineRequest, { blockTokens }: StepLimits): number {
  return Math.ceil(knownTokens / blockTokens) * blockTokens;
}

/** @param running in service order; from the first that does not fit on, they give their slots up */
function keepInMemory(running: readonly Running[], limits: StepLimits) {
  let used = 0;
  const first = running.findIndex((request) => {
    used += memoryOf(request, limits);
    return used > limits.memoryTokens;
  });
  return first === -1
    ? { kept: [...running], preempted: [] }
    : { kept: running.slice(0, first), preempted: running.slice(first) };
}

/** @param waiting in service order: the first that does not fit ends admission */
function admit(
  waiting: readonly EngineRequest[],
  kept: readonly Running[],
  limits: StepLimits,
): Running[] {
  const taken = new Set(kept.map(({ slot }) => slot));
  const free = Array.from({ length: limits.slots }, (_, slot) => slot).filter(
    (slot) => !taken.has(slot),
  );
  let left = kept.reduce((rest, request) => rest - memoryOf(request, limits), limits.memoryTokens);
  const admitted: Running[] = [];
  for (const [index, request] of waiting.entries()) {
    const slot = free[index];
    left -= memoryOf(request, limits);
    if (slot === undefined || left < 0) break;
    // The last token is always computed: the next one is sampled from its row.
    const computedTokens = Math.min(request.cachedTokens, request.knownTokens - 1);
    admitted.push({ ...request, slot, computedTokens });
  }
  return admitted;
}

/** @param running in service order */
function planChunks(
  running: readonly Running[],
  decoding: number,
  limits: StepLimits,
): PromptChunk[] {
  let budget = limits.stepTokensMax - decoding;
  if (decoding > 0) budget = Math.min(budget, limits.quantumTokens);
  const chunks: PromptChunk[] = [];
  for (const request of inPromptOrder(running, limits)) {
    const tokens = Math.min(missing(request), budget);
    if (tokens === 0) break;
    budget -= tokens;
    const last = tokens === missing(request);
    chunks.push({ id: request.id, from: request.computedTokens, tokens, last });
  }
  return chunks;
}

/**
 * The first prompt of each tenant, those overdue before the others, which go by the start tag of their next share, so
 * that a long prompt does not hold up the other tenants; then the further ones in service order.
 */
function inPromptOrder(running: readonly Running[], { shareTokens }: StepLimits): Running[] {
  const tenants = new Set<string | symbol>();
  const first: Running[] = [];
  const further: Running[] = [];
  for (const request of running) {
    if (decodes(request)) continue;
    (tenants.has(request.tenant) ? further : first).push(request);
    tenants.add(request.tenant);
  }
  const tag = ({ startTags, computedTokens }: Running) =>
    startTags.first + startTags.step * Math.floor(computedTokens / shareTokens);
  return [...first.toSorted((a, b) => compareWaits(a, b) || tag(a) - tag(b)), ...further];
}
