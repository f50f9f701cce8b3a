import { describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { FairQueueing } from "../../gpu-worker/batching/fair-queueing.ts";
import type { EngineRequest, StepLimits } from "../../gpu-worker/llm/engine-request.ts";
import { decodes, planStep, type StepPlan } from "../../gpu-worker/llm/step-plan.ts";
import { commitStep, sampledIn } from "./commit-step.ts";

const limits: StepLimits = {
  slots: 4,
  stepTokensMax: 64,
  quantumTokens: 16,
  othersWait: false,
  memoryTokens: 400,
  blockTokens: 16,
};

function request(id: string, fields: Partial<EngineRequest> = {}): EngineRequest {
  const arrival = fields.arrival ?? id.charCodeAt(0);
  return {
    id,
    tenant: id,
    startTag: arrival,
    overdueSince: null,
    arrival,
    knownTokens: 20,
    promptTokens: 0,
    computedTokens: 0,
    cachedTokens: 0,
    turnTokens: 0,
    writes: false,
    stalled: false,
    slot: null,
    ...fields,
  };
}

describe("a step", () => {
  it("reads the last token of a prompt as a piece of it, unless it is all of the prompt", () => {
    const one = { slot: 0, computedTokens: 19, promptTokens: 20 };
    const alone = { slot: 1, knownTokens: 1, computedTokens: 0, promptTokens: 1 };
    const plan = planStep([request("a", one), request("b", alone)], limits);
    expect(plan.decode).toEqual(["b"]);
    expect(plan.prefill).toEqual([{ id: "a", from: 19, tokens: 1, last: true }]);
  });

  it("decodes first, then gives prompts a quantum", () => {
    const plan = planStep(
      [request("a", { slot: 2, computedTokens: 19 }), request("b", { knownTokens: 100 })],
      limits,
    );
    expect(plan).toMatchObject({
      admit: [{ id: "b", slot: 0, cachedTokens: 0 }],
      decode: ["a"],
      prefill: [{ id: "b", from: 0, tokens: 16, last: false }],
    });
  });

  it("reads of one prompt while another model's texts get tokens between its steps", () => {
    const two = [request("a"), request("b", { knownTokens: 100 })];
    const { prefill } = planStep(two, { ...limits, othersWait: true });
    expect(prefill).toEqual([{ id: "a", from: 0, tokens: 16, last: false }]);
  });

  it("gives prompts all of its budget while nothing decodes", () => {
    const plan = planStep([request("a"), request("b", { knownTokens: 100 })], limits);
    expect(plan.prefill).toEqual([
      { id: "a", from: 0, tokens: 20, last: true },
      { id: "b", from: 0, tokens: 44, last: false },
    ]);
    expect(sampledIn(plan)).toEqual(["a"]);
  });

  it("computes the last token of a prompt that is cached whole", () => {
    const plan = planStep([request("a", { cachedTokens: 20 })], limits);
    expect(plan).toMatchObject({ admit: [{ cachedTokens: 19 }], decode: ["a"], prefill: [] });
  });

  it("lets the last in service order wait again where memory is short, with its tokens", () => {
    const running = ["a", "b", "c"].map((id, slot) =>
      request(id, { slot, knownTokens: 145, computedTokens: 144 }),
    );
    const requests = [...running, request("d", { knownTokens: 1 })];
    const plan = planStep(requests, limits);
    expect(plan).toMatchObject({ preempt: ["c"], admit: [], decode: ["a", "b"] });
    expect(commitStep(requests, plan)[2]).toMatchObject({
      slot: null,
      computedTokens: 0,
      knownTokens: 145,
    });
  });

  it("names what the whole memory cannot hold", () => {
    const requests = [request("a", { knownTokens: 401 }), request("c")];
    const plan = planStep(requests, limits);
    expect(plan).toMatchObject({ outgrown: ["a"], admit: [{ id: "c", slot: 0 }] });
    expect(commitStep(requests, plan).map(({ id }) => id)).toEqual(["c"]);
  });

  it("lets none overtake the first that waits for memory", () => {
    const requests = [
      request("a", { slot: 0, knownTokens: 300, computedTokens: 299 }),
      request("b", { knownTokens: 200 }),
      request("c", { knownTokens: 1 }),
    ];
    expect(planStep(requests, limits).admit).toEqual([]);
  });

  it("serves one overdue before all others", () => {
    const plan = planStep([request("a"), request("b", { overdueSince: 5 })], {
      ...limits,
      slots: 1,
    });
    expect(plan.admit.map(({ id }) => id)).toEqual(["b"]);
  });

  it("a long prompt does not hold up another tenant's", () => {
    const plan = planStep(
      [
        request("a", { startTag: 4, slot: 0, knownTokens: 200, computedTokens: 64 }),
        request("b", { startTag: 1, slot: 1 }),
        request("c", { slot: 2, computedTokens: 19 }),
      ],
      limits,
    );
    expect(plan.prefill).toEqual([{ id: "b", from: 0, tokens: 16, last: false }]);
  });

  it("refuses limits with which what runs could not decode", () => {
    expect(() => planStep([], { ...limits, stepTokensMax: 3 })).toThrow(RangeError);
    expect(() => planStep([], { ...limits, quantumTokens: 0 })).toThrow(RangeError);
  });
});

/** Whoever loses its slot. */
function unseated({ outgrown, preempt }: StepPlan): Set<string> {
  return new Set([...outgrown, ...preempt]);
}

/** Its next token is there. */
function grown(one: EngineRequest): EngineRequest {
  return { ...one, knownTokens: one.knownTokens + 1, turnTokens: one.turnTokens + 1 };
}

/** What the engine would do, with a random world around it: arrivals, callers that leave, steps that fail. */
class World {
  readonly #random: () => number;
  readonly #limits: StepLimits;
  readonly #queueing = new FairQueueing();
  readonly ended = new Map<string, "done" | "cancelled" | "failed">();
  /** How many tokens each request asked for in all. */
  readonly asked = new Map<string, number>();
  /** First admissions of each tenant, in order. */
  readonly admitted = new Map<string, number[]>();
  requests: EngineRequest[] = [];
  preemptions = 0;
  #arrivals = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const slots = 1 + this.#below(6);
    this.#limits = {
      slots,
      stepTokensMax: slots + this.#below(40),
      quantumTokens: 1 + this.#below(20),
      othersWait: this.#below(4) === 0,
      memoryTokens: 128 + this.#below(200),
      blockTokens: 1 + this.#below(16),
    };
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  arrive(): void {
    const id = String(this.#arrivals);
    const tenant = `tenant ${this.#below(3)}`;
    const knownTokens = 1 + this.#below(60);
    this.#queueing.open(tenant, 0);
    this.asked.set(id, knownTokens + 1 + this.#below(50));
    this.requests.push(
      request(id, {
        tenant,
        knownTokens,
        arrival: this.#arrivals,
        cachedTokens: this.#below(3) === 0 ? this.#below(80) : 0,
      }),
    );
    this.#arrivals += 1;
  }

  cancelOne(): void {
    const chosen = this.requests[this.#below(this.requests.length)];
    if (chosen === undefined) return;
    this.#end(chosen.id, "cancelled");
    this.requests = this.requests.filter((one) => one !== chosen);
  }

  step(failing: boolean): void {
    const before = this.requests.map((one) => ({
      ...one,
      startTag: this.#queueing.next(one.tenant),
    }));
    this.requests = before;
    const plan = planStep(before, this.#limits);
    this.#charge(plan);
    this.#checkPlan(plan);
    for (const id of plan.outgrown) this.#end(id, "failed");
    this.preemptions += plan.preempt.length;
    for (const { id } of plan.admit) this.#noteAdmission(id);
    const after = commitStep(before, plan);
    // A step that fails takes with it what it computed for.
    const lost = failing ? [...plan.decode, ...plan.prefill.map(({ id }) => id)] : [];
    for (const id of lost) this.#end(id, "failed");
    const sampled = new Set(sampledIn(plan));
    this.requests = after
      .filter(({ id }) => !lost.includes(id))
      .map((one) => (sampled.has(one.id) ? grown(one) : one));
    for (const one of this.requests) {
      if (one.knownTokens === this.asked.get(one.id)) this.#end(one.id, "done");
    }
    this.requests = this.requests.filter(({ id }) => !this.ended.has(id));
    this.#checkRequests(before);
  }

  #charge({ prefill }: StepPlan): void {
    const tenants = new Map(this.requests.map(({ id, tenant }) => [id, tenant]));
    for (const { id, tokens } of prefill) this.#queueing.serve(tenants.get(id) ?? "", tokens / 16);
  }

  #noteAdmission(id: string): void {
    const one = this.requests.find((other) => other.id === id);
    if (one === undefined) throw new Error(`${id} is admitted but unknown`);
    const order = this.admitted.get(String(one.tenant)) ?? [];
    if (!order.includes(one.arrival)) order.push(one.arrival);
    this.admitted.set(String(one.tenant), order);
  }

  #end(id: string, how: "done" | "cancelled" | "failed"): void {
    expect(this.ended.has(id)).toBe(false);
    this.ended.set(id, how);
    const one = this.requests.find((other) => other.id === id);
    if (one !== undefined) this.#queueing.close(one.tenant);
  }

  #checkPlan(plan: StepPlan): void {
    const { stepTokensMax, quantumTokens, othersWait, memoryTokens, blockTokens } = this.#limits;
    const prompts = plan.prefill.reduce((sum, { tokens }) => sum + tokens, 0);
    // Two tokens are read where there is room for one.
    const room = stepTokensMax - plan.decode.length;
    expect(prompts).toBeLessThanOrEqual(room === 1 ? 2 : room);
    if (plan.decode.length > 0 || othersWait) {
      expect(prompts).toBeLessThanOrEqual(Math.max(2, quantumTokens));
      expect(plan.prefill.length).toBeLessThanOrEqual(1);
    }
    // Whatever decodes, the first prompt of those that have a slot goes on.
    const reading = this.requests.some(
      (one) => one.slot !== null && !decodes(one) && !unseated(plan).has(one.id),
    );
    if (reading) expect(prompts).toBeGreaterThan(0);
    const named = [...plan.outgrown, ...plan.preempt, ...plan.decode];
    const all = [...named, ...plan.prefill.map(({ id }) => id)];
    expect(new Set(all).size).toBe(all.length);
    const running = commitStep(this.requests, plan).filter(({ slot }) => slot !== null);
    const held = running.reduce(
      (sum, { knownTokens }) => sum + Math.ceil(knownTokens / blockTokens) * blockTokens,
      0,
    );
    expect(held).toBeLessThanOrEqual(memoryTokens);
    // Whatever runs and is one token short decodes.
    const due = this.requests.filter(
      (one) => one.slot !== null && one.knownTokens - one.computedTokens === 1,
    );
    expect(due.filter(({ id }) => !named.includes(id))).toEqual([]);
    // Something moves in every step that has anything to do.
    if (this.requests.length > 0) expect(all.length).toBeGreaterThan(0);
  }

  #checkRequests(before: readonly EngineRequest[]): void {
    const slots = this.requests.flatMap(({ slot }) => (slot === null ? [] : [slot]));
    expect(new Set(slots).size).toBe(slots.length);
    expect(Math.max(-1, ...slots)).toBeLessThan(this.#limits.slots);
    const now = new Map(this.requests.map((one) => [one.id, one]));
    const lost = before.filter(({ id }) => !now.has(id) && !this.ended.has(id));
    const shrunk = before.filter(
      ({ id, knownTokens }) => (now.get(id)?.knownTokens ?? Infinity) < knownTokens,
    );
    const ahead = this.requests.filter((one) => one.computedTokens >= one.knownTokens);
    expect([lost, shrunk, ahead]).toEqual([[], [], []]);
  }

  get arrivals(): number {
    return this.#arrivals;
  }

  chance(of: number): boolean {
    return this.#random() < of;
  }
}

describe("any course of arrivals, cancellations and failures", () => {
  it("keeps slots, budget, memory and order, and ends every request: 40 courses", () => {
    let preemptions = 0;
    const ends = { done: 0, cancelled: 0, failed: 0 };
    for (let seed = 0; seed < 40; seed += 1) {
      const world = new World(seed);
      for (let step = 0; step < 120; step += 1) {
        if (world.chance(0.3)) world.arrive();
        if (world.chance(0.03)) world.cancelOne();
        world.step(world.chance(0.01));
      }
      for (let step = 0; world.requests.length > 0; step += 1) {
        expect(step).toBeLessThan(20_000);
        world.step(false);
      }
      expect(world.ended.size).toBe(world.arrivals);
      for (const order of world.admitted.values()) {
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
      preemptions += world.preemptions;
      for (const how of world.ended.values()) ends[how] += 1;
    }
    expect(preemptions).toBeGreaterThan(20);
    expect(Math.min(ends.done, ends.cancelled, ends.failed)).toBeGreaterThan(20);
  });
});
