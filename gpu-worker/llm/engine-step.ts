/** A step of the engine: the plan of step-plan.ts, carried out on texts and slots up to where something is computed. */
import { CodedError } from "#contract/errors.ts";
import type { FairQueueing } from "../batching/fair-queueing.ts";
import { scoredTokensMax } from "./decoder-runs.ts";
import { blockTokens, type EngineLimits, type EngineRoom } from "./engine-limits.ts";
import type { EngineSlots } from "./engine-slots.ts";
import { type Ahead, planAhead } from "./look-ahead.ts";
import type { SlotWork } from "./slot-table.ts";
import type { StepCosts } from "./step-costs.ts";
import { decodes, planStep } from "./step-plan.ts";
import { plannedText, progressOf, type Text } from "./text.ts";
import type { Candidate, WaitingTexts } from "./waiting-texts.ts";

export type EngineStep = {
  /** Before anything is computed. */
  work: SlotWork[];
  /** One token each. */
  decode: Text[];
  /** Several of one more, in a step that reads no prompt. */
  ahead: Ahead | null;
  prompts: { text: Text; tokens: number }[];
  outgrown: { text: Text; reason: CodedError }[];
  /** The first that waits has no room. */
  blocked: boolean;
};

export type StepState = {
  running: Set<Text>;
  waiting: WaitingTexts;
  slots: EngineSlots;
  room: EngineRoom;
  limits: EngineLimits;
  costs: StepCosts;
  /** Tokens of prompts that may be in the step. */
  promptTokens: number;
  /** Texts of this model or of another make tokens meanwhile, or batches of encoders come. */
  othersWait: boolean;
  now: number;
  fairQueueing: FairQueueing;
};

export function planEngineStep(state: StepState): EngineStep {
  const { running, room, promptTokens } = state;
  const candidates = state.waiting.firstOfEach(room.slots, state.now);
  const requests = requestsOf(candidates, state);
  const writing = requests.filter((request) => request.slot !== null && decodes(request)).length;
  const plan = planStep(requests, {
    ...room,
    quantumTokens: Math.max(1, promptTokens),
    othersWait: state.othersWait,
    // Prompts have all their tokens, however many slots are taken by texts that are written.
    stepTokensMax: Math.max(room.slots, writing + promptTokens),
    blockTokens,
  });
  const texts = [...running, ...candidates.map(({ text }) => text)];
  const byId = new Map(texts.map((text) => [text.id, text]));
  const textsOf = (ids: readonly string[]) => ids.flatMap((id) => byId.get(id) ?? []);
  for (const text of textsOf(plan.preempt)) preempt(text, state);
  const admitted = textsOf(plan.admit.map(({ id }) => id));
  const work = admitted.flatMap((text) => admit(text, state));
  if (admitted.length === 0) work.push(...closeGap(state));
  // What was found in a slot may have made way for another that was admitted with it.
  const decode = textsOf(plan.decode).filter((text) => decodes(progressOf(text)));
  const bounded = decode.length > 0 || state.othersWait;
  const prompts = (promptTokens === 0 ? [] : plan.prefill).flatMap(({ id, tokens }) =>
    textsOf([id]).map((text) => {
      // More than these would be several runs.
      const most = bounded && text.generation.promptScores !== null ? scoredTokensMax : tokens;
      return { text, tokens: Math.min(tokens, most, missing(text)) };
    }),
  );
  const mixes = !state.slots.takesAdapters;
  const ahead = prompts.length > 0 ? null : planAhead(decode, { ...state, mixes });
  work.push(...shrink(ahead, state));
  charge({ prompts, ahead }, state);
  return {
    work,
    decode: decode.filter((text) => text !== ahead?.text),
    ahead,
    prompts,
    outgrown: textsOf(plan.outgrown).map((text) => ({ text, reason: outgrown(room) })),
    blocked: state.waiting.size > 0,
  };
}

function requestsOf(candidates: readonly Candidate[], state: StepState) {
  const { fairQueueing, running } = state;
  const startTagOf = ({ generation }: Text) => fairQueueing.next(generation.tenant);
  return [
    ...Array.from(running, (text) => plannedText(text, { startTag: startTagOf(text) })),
    ...candidates.map(({ text, overdueSince }) =>
      plannedText(text, {
        startTag: startTagOf(text),
        overdueSince,
        cachedTokens: cachedTokens(text, state),
      }),
    ),
  ];
}

/**
 * What is read of prompts is taken from the share of their tenants, when it is: not what waits for it in a slot. So is
 * what a text has computed beyond one token, whatever comes of it.
 */
function charge(
  { prompts, ahead }: Pick<EngineStep, "prompts" | "ahead">,
  { fairQueueing, limits }: StepState,
): void {
  const [first] = prompts;
  if (first !== undefined) fairQueueing.advance(fairQueueing.next(first.text.generation.tenant));
  for (const { text, tokens } of prompts) {
    fairQueueing.serve(text.generation.tenant, tokens / limits.shareTokens);
  }
  if (ahead === null) return;
  const more = ahead.tokens + ahead.draft.length - 1;
  fairQueueing.serve(ahead.text.generation.tenant, more / limits.shareTokens);
}

function missing({ tokens, computed }: Text): number {
  return tokens.length - computed;
}

/** The model's own words on its prompt are computed, not found. */
function reuses({ choice, generation }: Text): boolean {
  return choice > 0 || generation.promptScores === null;
}

function cachedTokens(text: Text, { slots }: StepState): number {
  const { tokens, generation } = text;
  return reuses(text) ? slots.table.cachedTokens({ owner: generation, tokens }) : 0;
}

/** Its tokens are known: it goes on from them when it gets a slot again. */
function preempt(text: Text, { slots, running, waiting, now }: StepState): void {
  if (text.slot !== null) slots.table.leave(text.slot, text.generation.request.prompt.length);
  text.slot = null;
  text.computed = 0;
  text.writes = false;
  running.delete(text);
  waiting.add(text, now);
}

function admit(text: Text, state: StepState): SlotWork[] {
  const { generation, tokens, id, choice } = text;
  const { tenant, adapter } = generation;
  state.waiting.delete(text, { now: state.now });
  state.running.add(text);
  const placed = state.slots.table.place({ id, owner: { tenant, adapter }, tokens }, reuses(text));
  text.slot = placed.slot;
  text.admittedTokens = tokens.length;
  text.computed = placed.cachedTokens;
  // What a preempted text finds again is its own.
  if (choice === 0 && text.promptTold === 0) {
    generation.cachedTokens = placed.cachedTokens;
    text.promptTold = placed.cachedTokens;
  }
  return placed.work;
}

function closeGap({ slots, running }: StepState): SlotWork[] {
  const move = slots.table.closeGap();
  if (move === null) return [];
  const moved = [...running].find(({ id }) => id === move.text);
  if (moved !== undefined) moved.slot = move.to;
  return move.work;
}

function shrink(ahead: Ahead | null, { slots, running, room }: StepState): SlotWork[] {
  const lengths = new Map(Array.from(running, ({ id, tokens }) => [id, tokens.length]));
  if (ahead !== null) lengths.set(ahead.text.id, ahead.text.tokens.length + ahead.draft.length);
  return slots.table.shrink(room.memoryTokens, (id) => lengths.get(id) ?? 0);
}

function outgrown({ memoryTokens }: EngineRoom): CodedError {
  const words = `This worker has memory for at most ${memoryTokens} tokens of prompt and answer.`;
  return new CodedError("context_length_exceeded", words);
}
