/**
 * Writes texts with a decoder, many side by side: continuous batching. Each step gives every text that runs its next
 * token, in one run over their keys and values in place, which reads a piece of a prompt too. What is in a step is
 * planned by step-plan.ts, which slot a text gets by slot-table.ts, when it runs by the scheduler, which other models
 * share. No queue and no HTTP.
 *
 * A run that fails takes its own texts with it; a fault of the device takes all.
 */
import { addAbortListener } from "node:events";
import type { Tenant } from "../batching/fair-queueing.ts";
import { compareFronts, type QueueFront } from "../batching/slot-policy.ts";
import type { SlotBatch, SlotScheduler, StepUser } from "../batching/slot-scheduler.ts";
import type { GenerationEnd, GenerationHandlers, GenerationRequest } from "../model/generation.ts";
import { isVirtual } from "../model/virtual-tokens.ts";
import { isDeviceFault } from "../runtime/device-faults.ts";
import { checkRequest, defaultEngineLimits, engineRoom } from "./engine-limits.ts";
import type { EngineLimits, EngineModel, EngineRoom } from "./engine-limits.ts";
import { EngineSlots } from "./engine-slots.ts";
import { planEngineStep, type EngineStep } from "./engine-step.ts";
import { vocabularyOf } from "./key-value-slots.ts";
import { StepCosts } from "./step-costs.ts";
import { runStep } from "./run-step.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import { Sampler } from "./sampler.ts";
import { decodes } from "./step-plan.ts";
import { newText, progressOf } from "./text.ts";
import type { Generation, Text } from "./text.ts";
import { TextWriter } from "./text-writer.ts";
import { WaitingTexts } from "./waiting-texts.ts";

export type EngineOptions = {
  /** Shared with all that computes on the machine. */
  scheduler: SlotScheduler;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** Default: those for a CPU. */
  limits?: Partial<EngineLimits>;
  log?: { warn(fields: object, message: string): void };
};

export type GenerateOptions = GenerationHandlers & {
  /** Whose share the request takes and whose keys and values it may use. Absent: a tenant of its own. */
  tenant?: Tenant;
  /** As the session counts them. Absent: none. */
  adapter?: number;
};

export class Engine implements StepUser {
  readonly #model: EngineModel;
  readonly #options: EngineOptions;
  readonly #limits: EngineLimits;
  readonly #room: EngineRoom;
  readonly #slots: EngineSlots;
  readonly #costs: StepCosts;
  readonly #sampler: Sampler;
  readonly #writer: TextWriter;
  readonly #waiting: WaitingTexts;
  readonly #running = new Set<Text>();
  readonly #generations = new Set<Generation>();
  /** The first that waits has no room until one that runs ends. */
  #blocked = false;
  #stepping = false;
  /** Of each native run under way, to stop it when nobody wants it any more. */
  readonly #runs = new Map<AbortController, readonly Text[]>();
  #idle: NodeJS.Timeout | undefined;
  #made = 0;

  constructor(model: EngineModel, options: EngineOptions) {
    this.#model = model;
    this.#options = options;
    this.#limits = { ...defaultEngineLimits, ...options.limits };
    this.#room = engineRoom(model, this.#limits);
    this.#slots = new EngineSlots(model, this.#room);
    this.#costs = new StepCosts(this.#limits.stepTokensMax);
    this.#waiting = new WaitingTexts(this.#limits.waitMsMax);
    this.#sampler = new Sampler(vocabularyOf(model.session));
    this.#writer = new TextWriter(this.#sampler, {
      tell: (text, call) => this.#tell(text, call),
      fail: (generation, reason) => this.#fail(generation, reason),
      spread: (generation) => this.#spread(generation),
      end: (text) => this.#end(text),
      wake: () => options.scheduler.wakeStepper(this),
    });
  }

  /** Prompt and answer together can have at most so many tokens. */
  get textTokensMax(): number {
    return this.#room.textTokensMax;
  }

  get decodes(): boolean {
    return Array.from(this.#running).some(isWriting);
  }

  get ready(): boolean {
    if (this.#stepping) return false;
    const goesOn = Array.from(this.#running).some(({ stalled }) => !stalled);
    return goesOn || (this.#waiting.size > 0 && !this.#blocked);
  }

  get quantumSeconds(): number {
    return this.#costs.quantumSeconds;
  }

  /** Each tenant's tokens of prompts that are not computed yet. */
  backlog(): Map<Tenant, number> {
    const tokens = new Map<Tenant, number>();
    for (const text of [...this.#waiting, ...this.#running]) {
      const { tenant } = text.generation;
      const missing = text.writes ? 0 : text.tokens.length - text.computed;
      if (missing > 1 && !text.ended) tokens.set(tenant, (tokens.get(tenant) ?? 0) + missing);
    }
    return tokens;
  }

  /**
   * @throws CodedError for what can never be written; the signal's reason; what a run of its texts threw, or a handler
   */
  async generate(request: GenerationRequest, options: GenerateOptions): Promise<GenerationEnd> {
    checkRequest(request, this.#model, this.#room);
    options.signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<GenerationEnd>();
    this.#open(request, options, { resolve, reject });
    return promise;
  }

  #open(
    request: GenerationRequest,
    { tenant = Symbol("a tenant of its own"), adapter = 0, ...handlers }: GenerateOptions,
    settle: Pick<Generation, "resolve" | "reject">,
  ): void {
    const { scheduler, now } = this.#options;
    // Its share is taken by what is read, as it is.
    scheduler.fairQueueing.open(tenant, 0);
    const generation: Generation = {
      request,
      handlers,
      tenant,
      adapter,
      arrival: scheduler.nextArrival(),
      promptTokens: new Set(request.prompt.filter((token) => !isVirtual(token))),
      promptScores: request.promptLogprobs ? [null] : null,
      cachedTokens: 0,
      texts: new Set(),
      spread: false,
      closed: false,
      listening: addAbortListener(handlers.signal, () =>
        this.#fail(generation, handlers.signal.reason),
      ),
      ...settle,
    };
    for (let choice = 0; choice < request.choices; choice += 1) {
      generation.texts.add(this.#text(generation, choice));
    }
    this.#generations.add(generation);
    clearTimeout(this.#idle);
    this.#begin(generation);
    for (const text of generation.texts) if (text.choice === 0) this.#waiting.add(text, now());
    scheduler.wakeStepper(this);
  }

  /** What its texts begin with may be certain, and even all that they are. */
  #begin(generation: Generation): void {
    try {
      for (const text of generation.texts) if (!generation.closed) this.#writer.begin(text);
    } catch (error) {
      this.#fail(generation, error);
    }
  }

  #text(generation: Generation, choice: number): Text {
    this.#made += 1;
    const text = newText(String(this.#made), generation, choice);
    if (this.#guesses(generation.request)) text.lookup = new PromptLookup();
    return text;
  }

  #guesses({ constraint, repeatable }: GenerationRequest): boolean {
    const { draftTokensMax, guessesRepeatable } = this.#limits;
    return constraint === undefined && draftTokensMax > 0 && (guessesRepeatable || !repeatable);
  }

  front(): QueueFront | null {
    const { fairQueueing } = this.#options.scheduler;
    const frontOf = (text: Text, overdueSince: number | null = null): QueueFront => {
      const { tenant, arrival } = text.generation;
      return { overdueSince, startTag: fairQueueing.next(tenant), arrival };
    };
    const reading = [...this.#running].filter((text) => !text.stalled && !isWriting(text));
    const waiting = this.#blocked ? [] : this.#waiting.firstOfEach(1, this.#options.now());
    const fronts = [
      ...reading.map((text) => frontOf(text)),
      ...waiting.map(({ text, overdueSince }) => frontOf(text, overdueSince)),
    ];
    return fronts.toSorted(compareFronts)[0] ?? null;
  }

  step(promptSeconds: number | null): Pick<SlotBatch, "run"> {
    this.#stepping = true;
    const step = planEngineStep({
      running: this.#running,
      waiting: this.#waiting,
      slots: this.#slots,
      room: this.#room,
      limits: this.#limits,
      costs: this.#costs,
      promptTokens: promptSeconds === null ? 0 : this.#promptTokens(promptSeconds),
      othersWait: promptSeconds !== Infinity,
      now: this.#options.now(),
      fairQueueing: this.#options.scheduler.fairQueueing,
    });
    this.#blocked = step.blocked;
    for (const { text, reason } of step.outgrown) this.#fail(text.generation, reason);
    return { run: () => this.#run(step) };
  }

  #promptTokens(seconds: number): number {
    if (seconds === Infinity) return this.#limits.stepTokensMax;
    return this.decodes ? this.#costs.tokensBeside(seconds) : this.#costs.tokensAlone(seconds);
  }

  async #run(step: EngineStep): Promise<() => void> {
    const handOut = await runStep(step, {
      slots: this.#slots,
      costs: this.#costs,
      sampler: this.#sampler,
      now: this.#options.now,
      stallMsMax: this.#limits.stallMsMax,
      begin: (texts) => this.#beginRun(texts),
      end: (controller) => this.#runs.delete(controller),
      tell: (text, call) => this.#tell(text, call),
      next: (text, row) => this.#writer.next(text, row),
      failed: (texts, error) => this.#failed(texts, error),
      broken: (error) => this.#broken(error),
    });
    return () => {
      handOut();
      this.#stepping = false;
      if (this.#generations.size === 0) this.#rest();
    };
  }

  #beginRun(texts: readonly Text[]): AbortController {
    const controller = new AbortController();
    this.#runs.set(controller, texts);
    if (texts.every(({ ended }) => ended)) controller.abort(new Error("nobody waits for it"));
    return controller;
  }

  #tell(text: Text, call: (handlers: GenerationHandlers) => void): void {
    const { generation } = text;
    if (generation.closed) return;
    try {
      call(generation.handlers);
    } catch (error) {
      this.#fail(generation, error);
    }
  }

  /** Its other choices begin, which copy what the first has of their prompt. */
  #spread(generation: Generation): void {
    generation.spread = true;
    for (const text of generation.texts) {
      if (text.choice > 0) this.#waiting.add(text, this.#options.now());
    }
  }

  #end(text: Text): void {
    text.ended = true;
    this.#retire(text);
  }

  /** What was computed of them before is right. */
  #failed(texts: readonly Text[], error: unknown): void {
    if (texts.some(({ ended }) => !ended)) this.#warn(error, "a run failed");
    for (const text of texts) this.#fail(text.generation, error);
    if (isDeviceFault(error)) this.#broken(error);
  }

  /** Nobody knows what the slots hold. */
  #broken(error: unknown): void {
    this.#warn(error, "keys and values are lost");
    for (const generation of this.#generations) this.#fail(generation, error);
    this.#forget();
  }

  #forget(): void {
    const failed = (error: unknown) => this.#warn(error, "memory was not given back");
    this.#slots.release().catch(failed);
  }

  #warn(error: unknown, what: string): void {
    this.#options.log?.warn({ error }, `${this.#model.id}: ${what}`);
  }

  #fail(generation: Generation, reason: unknown): void {
    if (generation.closed) return;
    generation.reject(reason);
    this.#close(generation);
    for (const text of generation.texts) this.#end(text);
    for (const [controller, texts] of this.#runs) {
      if (texts.every(({ ended }) => ended)) controller.abort(reason);
    }
  }

  /** It neither waits nor runs. A run under way may still write to its slot, which nobody gets before the next step. */
  #retire(text: Text): void {
    const { generation } = text;
    this.#waiting.delete(text);
    this.#running.delete(text);
    if (text.slot !== null) this.#slots.table.leave(text.slot, generation.request.prompt.length);
    text.slot = null;
    text.guide?.[Symbol.dispose]();
    this.#blocked = false;
    generation.texts.delete(text);
    if (generation.closed) return;
    if (text.choice === 0 && !generation.spread) this.#spread(generation);
    if (generation.texts.size > 0) return;
    generation.resolve({ cachedTokens: generation.cachedTokens });
    this.#close(generation);
  }

  #close(generation: Generation): void {
    generation.closed = true;
    generation.listening[Symbol.dispose]();
    this.#generations.delete(generation);
    this.#options.scheduler.fairQueueing.close(generation.tenant);
    if (this.#generations.size === 0 && !this.#stepping) this.#rest();
  }

  #rest(): void {
    clearTimeout(this.#idle);
    // A GPU's goes but to the session's arena, and what is captured reads where it lay.
    if (this.#model.session.provider !== "cpu") return;
    this.#idle = setTimeout(() => this.#forget(), this.#limits.idleMsMax);
    this.#idle.unref();
  }

  /** Ends what there is with `reason`, and gives the memory back. */
  async release(reason: unknown): Promise<void> {
    for (const generation of this.#generations) this.#fail(generation, reason);
    clearTimeout(this.#idle);
    await this.#slots.release();
  }
}

/** Its next token is computed with the others', or will be: none of its prompt is left, and it need not wait. */
function isWriting(text: Text): boolean {
  if (text.stalled) return false;
  return text.computed === text.tokens.length || decodes(progressOf(text));
}
