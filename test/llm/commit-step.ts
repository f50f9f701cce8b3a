/** A step that ran as it was planned, on the records of the plan: what the engine does with its texts. */
import type { EngineRequest } from "../../gpu-worker/llm/engine-request.ts";
import type { StepPlan } from "../../gpu-worker/llm/step-plan.ts";

/** The requests after a step that ran as planned; those whose token was sampled have yet to be given it. */
export function commitStep(requests: readonly EngineRequest[], plan: StepPlan): EngineRequest[] {
  const gone = new Set(plan.outgrown);
  const preempted = new Set(plan.preempt);
  const admitted = new Map(plan.admit.map((admission) => [admission.id, admission]));
  const computed = new Map(plan.prefill.map(({ id, tokens }) => [id, tokens]));
  for (const id of plan.decode) computed.set(id, 1);
  return requests
    .filter(({ id }) => !gone.has(id))
    .map((request) => {
      if (preempted.has(request.id))
        return { ...request, slot: null, computedTokens: 0, turnTokens: 0, writes: false };
      const admission = admitted.get(request.id);
      const from = admission?.cachedTokens ?? request.computedTokens;
      return {
        ...request,
        slot: admission?.slot ?? request.slot,
        computedTokens: from + (computed.get(request.id) ?? 0),
      };
    });
}

/** Requests from whose last row the next token is sampled, where no more of those that are written are missing. */
export function sampledIn(plan: StepPlan): string[] {
  return [...plan.decode, ...plan.prefill.filter(({ last }) => last).map(({ id }) => id)];
}
