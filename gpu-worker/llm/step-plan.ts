/**
 * Which tokens the next step computes: continuous batching as a function over plain records, which knows no model and
 * no clock. Every running request that decodes gets its one token; what is left of the step's budget goes to chunks of
 * prompts, to one of a quantum while anything decodes. Whose caller has left is no request any more.
 *
 * Service order is that of batching/slot-policy.ts: those overdue, the longest wait first, then by their tenant's start
 * tag (batching/fair-queueing.ts, which the caller keeps), then by arrival. Slots are given in the order of seating.ts.
 * Where memory is short, the tenant with the most slots gives up that of its last: the first that came always goes on,
 * so every request ends.
 */
import { type EngineRequest, inServiceOrder, memoryOf, type StepLimits } from "./engine-request.ts";
import { planSeats, type Seated } from "./seating.ts";

export type PromptChunk = {
  id: string;
  /** Position of its first token. */
  from: number;
  tokens: number;
  /** Its last token is the last one known: the next token is sampled from it. */
  last: boolean;
};

export type StepPlan = {
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
  const ordered = requests.toSorted(inServiceOrder);
  const outgrown = ordered.filter((request) => memoryOf(request, limits) > limits.memoryTokens);
  const able = ordered.filter((request) => memoryOf(request, limits) <= limits.memoryTokens);
  const { kept, preempted } = keepInMemory(able.filter(runs), limits);
  const waiting = preempted.length === 0 ? able.filter((request) => !runs(request)) : [];
  const { admitted, displaced } = planSeats(kept, waiting, limits);
  const seated = kept.filter((request) => !displaced.includes(request));
  const running = [...seated, ...admitted]
    .filter(({ stalled }) => !stalled)
    .toSorted(inServiceOrder);
  const decoding = running.filter(decodes);
  return {
    outgrown: outgrown.map(({ id }) => id),
    preempt: [...preempted, ...displaced].map(({ id }) => id),
    admit: admitted.map(({ id, slot, computedTokens }) => ({
      id,
      slot,
      cachedTokens: computedTokens,
    })),
    decode: decoding.map(({ id }) => id),
    prefill: planChunks(running, decoding.length, limits),
  };
}

function checkLimits({ slots, stepTokensMax, quantumTokens, blockTokens }: StepLimits): void {
  if (stepTokensMax < slots) {
    throw new RangeError(`${stepTokensMax} tokens a step are fewer than the ${slots} slots`);
  }
  if (quantumTokens < 1 || blockTokens < 1) throw new RangeError("a quantum or a block is empty");
}

function runs(request: EngineRequest): request is Seated {
  return request.slot !== null;
}

/**
 * Whether its next token is computed with those of the others. A run over one token of a text adds in another order
 * than one over several, and what is rounded to 8 bits makes much of that: so the last token of a prompt is never
 * computed in this way, and a text is the same whether its prompt was cached or not. Of a text that is written more
 * than one may be missing, where nothing else could come.
 */
export function decodes({
  knownTokens,
  computedTokens,
  promptTokens,
  writes,
}: Pick<EngineRequest, "knownTokens" | "computedTokens" | "promptTokens" | "writes">): boolean {
  if (writes) return true;
  return knownTokens - computedTokens === 1 && (knownTokens > promptTokens || knownTokens === 1);
}

function missing({ knownTokens, computedTokens }: EngineRequest): number {
  return knownTokens - computedTokens;
}

function keepInMemory(running: readonly Seated[], limits: StepLimits) {
  const kept = new Set(running.toSorted((a, b) => a.arrival - b.arrival));
  const preempted: Seated[] = [];
  let used = running.reduce((sum, request) => sum + memoryOf(request, limits), 0);
  while (used > limits.memoryTokens) {
    const last = lastOfMost([...kept]);
    if (last === null) break;
    kept.delete(last);
    preempted.push(last);
    used -= memoryOf(last, limits);
  }
  return { kept: [...kept], preempted };
}

/** @param running by arrival @returns the last that came, of the tenants with the most slots */
function lastOfMost(running: readonly Seated[]): Seated | null {
  const holds = new Map<EngineRequest["tenant"], number>();
  for (const { tenant } of running) holds.set(tenant, (holds.get(tenant) ?? 0) + 1);
  const most = Math.max(0, ...holds.values());
  return running.findLast(({ tenant }) => holds.get(tenant) === most) ?? null;
}

/**
 * At least two tokens of each, where there are more: see compute-form/fewest-rows.ts.
 * @param running in service order, so that the prompts of a tenant are read one after the other
 */
function planChunks(
  running: readonly Seated[],
  decoding: number,
  limits: StepLimits,
): PromptChunk[] {
  const bounded = decoding > 0 || limits.othersWait;
  let budget = limits.stepTokensMax - decoding;
  if (bounded) budget = Math.min(budget, limits.quantumTokens);
  const chunks: PromptChunk[] = [];
  for (const request of running) {
    if (decodes(request)) continue;
    if (budget === 0 || (bounded && chunks.length > 0)) break;
    const tokens = Math.min(missing(request), chunks.length === 0 ? Math.max(budget, 2) : budget);
    const isLast = tokens === missing(request);
    if (tokens === 1 && !isLast) break;
    budget -= tokens;
    chunks.push({ id: request.id, from: request.computedTokens, tokens, last: isLast });
  }
  return chunks;
}
