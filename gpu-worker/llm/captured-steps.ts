/**
 * Steps of tokens alone that a GPU repeats instead of being told each operator (see `Binding.captured`): one for each
 * window of slots that comes again and again, by a session of the same weights. What a step is fed lies in values that
 * stay, beside the slots.
 *
 * Whether a repeated step computes what a plain one does may depend on what ran in between. So both are computed and
 * compared the first time, the second, the fourth and so on; where they differ, or a run fails, no step is repeated any
 * more. A step may be computed twice: it writes the same keys and values to the same places.
 */
import type { CapturingSession } from "../model/decoder-model.ts";
import type {
  AllocatedValue,
  Binding,
  BoundSession,
  ResidentValue,
} from "../runtime/bound-session.ts";
import { relativeDistance } from "../runtime/self-test.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Of the logits in f16 that two kernels give, against their length. */
const tolerance = 1e-2;

/** Steps over a window that are plain before one is captured: many a window comes but a few times. */
const plainSteps = 4;
/** Some megabytes each, until the session is released. */
const windowsMax = 64;

/** What changes from step to step. */
const fedNames = ["input_ids", "lengths", "positions"] as const;
type FedName = (typeof fedNames)[number];

export type CapturedStep = {
  /** Of the window. */
  readonly first: number;
  readonly texts: number;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Of the slots, but for what the step is fed. */
  readonly binding: () => Binding;
  /** Where both put them. */
  readonly logits: ResidentValue;
  readonly plain: () => Promise<unknown>;
};

type Values = Readonly<Record<FedName, AllocatedValue>>;
type Repeated = { readonly bound: BoundSession; readonly fed: Record<FedName, ResidentValue> };

export class CapturedSteps {
  readonly #steps: CapturingSession;
  readonly #slots: number;
  /** Of every step: no text is longer than a slot. */
  readonly #total: Record<string, Tensor>;
  /** Of all slots, of which a step is fed the first. */
  #values: Promise<Values> | null = null;
  /** By window. */
  readonly #repeated = new Map<string, Repeated>();
  readonly #uses = new Map<string, number>();
  #off = false;

  constructor(
    steps: CapturingSession,
    { slots, tokens }: { readonly slots: number; readonly tokens: number },
  ) {
    this.#steps = steps;
    this.#slots = slots;
    this.#total = { total_length: tensor("int32", [], Int32Array.of(tokens)) };
  }

  /** The logits lie in their place when it has run. @throws what `plain` throws */
  async run(step: CapturedStep): Promise<void> {
    const { texts, logits, plain } = step;
    const uses = this.#count(step);
    if (uses < 1) {
      await plain();
      return;
    }
    const compared = Number.isInteger(Math.log2(uses));
    const failed = await this.#repeat(step).then(() => null, wordsOf);
    if (failed === null && !compared) return;
    // Before the plain one, which would hide that nothing was written.
    const repeated = failed === null ? await logits.read() : null;
    await plain();
    const distance = repeated && relativeDistance(repeated.data, (await logits.read()).data);
    if (distance !== null && distance <= tolerance) return;
    this.#off = true;
    const words = `of ${texts} texts, logits are off by ${distance?.toPrecision(2)} of their length`;
    this.#steps.onLost(failed ?? words);
  }

  /** How often it was repeated, this time counted; less than 1: it is not. */
  #count(step: CapturedStep): number {
    const key = keyOf(step);
    const isFull = this.#repeated.size === windowsMax && !this.#repeated.has(key);
    if (this.#off || isFull) return 0;
    const steps = (this.#uses.get(key) ?? 0) + 1;
    this.#uses.set(key, steps);
    return steps - plainSteps;
  }

  /** Not stopped by a signal: what is half captured could not be run again. */
  async #repeat(step: CapturedStep): Promise<void> {
    this.#values ??= this.#allocate();
    const { bound, fed } = this.#repeated.get(keyOf(step)) ?? this.#bind(step, await this.#values);
    await Promise.all(
      fedNames.map((name) => {
        const given = step.feeds[name];
        if (given === undefined) throw new TypeError(`a step is fed ${name}`);
        return fed[name].write(given);
      }),
    );
    await bound.run(this.#total);
  }

  async #allocate(): Promise<Values> {
    const { session } = this.#steps;
    return {
      input_ids: await session.allocate("int64", [this.#slots, 1]),
      lengths: await session.allocate("int32", [this.#slots]),
      positions: await session.allocate("int64", [this.#slots]),
    };
  }

  #bind(step: CapturedStep, { input_ids: ids, lengths, positions }: Values): Repeated {
    const { texts, binding } = step;
    const fed = {
      input_ids: ids.view(0, [texts, 1]),
      lengths: lengths.view(0, [texts]),
      positions: positions.view(0, [texts]),
    };
    const { inputs, ...rest } = binding();
    const whole = { ...rest, inputs: { ...inputs, ...fed }, captured: true };
    const repeated = { bound: this.#steps.session.bind(whole), fed };
    this.#repeated.set(keyOf(step), repeated);
    return repeated;
  }

  /** Waits for the runs, then frees all. */
  async release(): Promise<void> {
    await Promise.all(Array.from(this.#repeated.values(), ({ bound }) => bound.release()));
    const values = await this.#values?.catch(() => null);
    await Promise.all(Object.values(values ?? {}).map((value) => value.release()));
  }
}

function keyOf({ first, texts }: CapturedStep): string {
  return `${first} ${texts}`;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
