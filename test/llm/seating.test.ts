/** How tenants share slots: by what is planned for single cases, and over random arrivals of many tenants. */
import { describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { FairQueueing } from "../../gpu-worker/batching/fair-queueing.ts";
import type { EngineRequest, StepLimits } from "../../gpu-worker/llm/engine-request.ts";
import { planSeats, type Seated } from "../../gpu-worker/llm/seating.ts";
import { planStep } from "../../gpu-worker/llm/step-plan.ts";
import { commitStep, sampledIn } from "./commit-step.ts";

const limits: StepLimits = {
  slots: 4,
  stepTokensMax: 64,
  quantumTokens: 8,
  othersWait: false,
  memoryTokens: 4_000,
  blockTokens: 16,
};

/** Of a name such as `a1`: the tenant's letter, then when it came. */
function request(id: string, fields: Partial<EngineRequest> = {}): EngineRequest {
  return {
    id,
    tenant: id.slice(0, 1),
    startTag: 0,
    overdueSince: null,
    arrival: Number(id.slice(1)),
    knownTokens: 20,
    promptTokens: 10,
    computedTokens: 0,
    cachedTokens: 0,
    turnTokens: 0,
    writes: false,
    stalled: false,
    slot: null,
    ...fields,
  };
}

function seated(id: string, slot: number, fields: Partial<EngineRequest> = {}): Seated {
  return { ...request(id, { computedTokens: 19, ...fields }), slot };
}

function plan(running: readonly Seated[], waiting: readonly EngineRequest[], own = limits) {
  const { admitted, displaced } = planSeats(running, waiting, own);
  return { admitted: idsOf(admitted), displaced: idsOf(displaced) };
}

function idsOf(requests: readonly EngineRequest[]): string[] {
  return requests.map(({ id }) => id);
}

const all = (letter: string) => [0, 1, 2, 3].map((at) => seated(`${letter}${at}`, at));

describe("seats", () => {
  it("go to the tenant that holds the fewest, then in service order", () => {
    const running = [seated("a0", 0), seated("a1", 1)];
    const waiting = [request("a2"), request("b4", { startTag: 2 }), request("c3", { startTag: 1 })];
    expect(plan(running, waiting).admitted).toEqual(["c3", "b4"]);
  });

  it("are given up by a tenant with two more: what has computed least, but not its first", () => {
    const running = all("a").map((each, at) => ({
      ...each,
      computedTokens: [1, 9, 4, 9][at] ?? 0,
    }));
    const { admitted, displaced } = plan(running, [request("b9"), request("b8"), request("b7")]);
    expect([admitted, displaced]).toEqual([
      ["b7", "b8"],
      ["a2", "a3"],
    ]);
  });

  it("are kept by a tenant with one more, whoever waits", () => {
    const running = [seated("a0", 0), seated("a1", 1), seated("b2", 2), seated("c3", 3)];
    const waiting = request("b5", { overdueSince: 1 });
    expect(plan(running, [waiting])).toEqual({ admitted: [], displaced: [] });
  });

  it("pass on after a turn where a tenant without any is overdue", () => {
    const turns = [10, 70, 90, 0];
    const running = ["a0", "b1", "c2", "d3"].map((id, slot) =>
      seated(id, slot, { turnTokens: turns[slot] ?? 0, knownTokens: 200 }),
    );
    expect(plan(running, [request("e4")])).toEqual({ admitted: [], displaced: [] });
    const overdue = request("e4", { overdueSince: 1 });
    expect(plan(running, [overdue])).toEqual({ admitted: ["e4"], displaced: ["c2"] });
    const long = running.map((each) => ({ ...each, knownTokens: 400 }));
    expect(plan(long, [overdue])).toEqual({ admitted: [], displaced: [] });
  });

  it("are given up for memory, too, but for nothing where that does not do", () => {
    const running = [0, 1].map((at) => seated(`a${at}`, at, { knownTokens: 2_000 }));
    const fitting = { ...limits, memoryTokens: 4_000 };
    expect(plan(running, [request("b2")], fitting)).toEqual({
      admitted: ["b2"],
      displaced: ["a1"],
    });
    const large = request("b2", { knownTokens: 2_500 });
    expect(plan(running, [large], fitting)).toEqual({ admitted: [], displaced: [] });
  });
});

type Text = EngineRequest & { wanted: number; cameAt: number };

/** Many tenants, some of which always want more than there is; no text is cancelled and no step fails. */
class World {
  readonly #random: () => number;
  readonly limits: StepLimits;
  readonly #queueing = new FairQueueing();
  readonly #tenants: number;
  readonly #allGreedy: boolean;
  readonly preemptions = new Map<string, number>();
  #waitingSince = new Map<EngineRequest["tenant"], number>();
  texts: Text[] = [];
  ended = 0;
  step = 0;
  /** Steps that a tenant without a slot waited for one, at most. */
  longestWait = 0;
  #arrivals = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.#allGreedy = seed % 2 === 1;
    this.#tenants = 2 + this.#below(8);
    const slots = 2 + this.#below(5);
    this.limits = { ...limits, slots, memoryTokens: 1_000 + this.#below(2_000) };
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  get arrivals(): number {
    return this.#arrivals;
  }

  arrive(): void {
    // The first tenant asks for most, and where all are greedy the others ask for as long texts.
    const tenant = this.#random() < 0.6 ? "0" : String(this.#below(this.#tenants));
    const long = tenant === "0" || this.#allGreedy;
    const knownTokens = 2 + this.#below(long ? 200 : 20);
    const wanted = knownTokens + 1 + this.#below(long ? 300 : 30);
    this.#queueing.open(tenant, 0);
    const one = request(`${tenant}${this.#arrivals}`, {
      tenant,
      arrival: this.#arrivals,
      knownTokens,
      promptTokens: knownTokens,
    });
    this.texts.push({ ...one, wanted, cameAt: this.step });
    this.#arrivals += 1;
  }

  /** @returns how many lost their slots */
  run(): number {
    const before = this.texts.map((text) => this.#asAsked(text));
    const planned = planStep(before, this.limits);
    const owners = new Map(before.map(({ id, tenant }) => [id, tenant]));
    for (const { id, tokens } of planned.prefill) {
      const tenant = owners.get(id) ?? "";
      this.#queueing.advance(this.#queueing.next(tenant));
      this.#queueing.serve(tenant, tokens / 16);
    }
    for (const id of planned.preempt) {
      this.preemptions.set(id, (this.preemptions.get(id) ?? 0) + 1);
    }
    const sampled = new Set(sampledIn(planned));
    const after = new Map(commitStep(before, planned).map((one) => [one.id, one]));
    this.texts = this.texts.map((text) => {
      const one = { ...text, ...after.get(text.id) };
      if (!sampled.has(text.id)) return one;
      return { ...one, knownTokens: one.knownTokens + 1, turnTokens: one.turnTokens + 1 };
    });
    const [done, left] = [[], []] as [Text[], Text[]];
    for (const text of this.texts) (text.knownTokens >= text.wanted ? done : left).push(text);
    for (const { tenant } of done) this.#queueing.close(tenant);
    this.ended += done.length;
    this.texts = left;
    this.step += 1;
    this.#noteWaits();
    return planned.preempt.length;
  }

  #asAsked(text: Text): EngineRequest {
    const since = this.#waitingSince.get(text.tenant) ?? this.step;
    const overdue = text.slot === null && this.step - since > 20;
    const startTag = this.#queueing.next(text.tenant);
    return { ...text, startTag, overdueSince: overdue ? since : null };
  }

  #noteWaits(): void {
    const holding = new Set(
      this.texts.flatMap(({ slot, tenant }) => (slot === null ? [] : [tenant])),
    );
    const waiting = new Set(
      this.texts.map(({ tenant }) => tenant).filter((each) => !holding.has(each)),
    );
    for (const tenant of this.#waitingSince.keys()) {
      if (!waiting.has(tenant)) this.#waitingSince.delete(tenant);
    }
    for (const tenant of waiting) {
      const since = this.#waitingSince.get(tenant) ?? this.step;
      this.#waitingSince.set(tenant, since);
      this.longestWait = Math.max(this.longestWait, this.step - since);
    }
  }
}

describe("any course of arrivals of many tenants", () => {
  it("gives each tenant a slot within a bound, and ends every text: 15 courses", () => {
    let preempted = 0;
    for (let seed = 0; seed < 15; seed += 1) {
      const world = new World(seed);
      for (let step = 0; step < 300; step += 1) {
        if (step % 4 === 0) world.arrive();
        world.run();
      }
      // Whatever waits now comes to its end without a further arrival.
      while (world.texts.length > 0) {
        expect(world.step).toBeLessThan(8_000);
        world.run();
      }
      expect(world.ended).toBe(world.arrivals);
      // 20 until it is overdue; then turns end, and what had to be read again was read 8 tokens at a time.
      expect(world.longestWait).toBeLessThan(400);
      preempted += [...world.preemptions.values()].reduce((sum, each) => sum + each, 0);
    }
    expect(preempted).toBeGreaterThan(100);
  });

  it("comes to rest: where nothing arrives and no turn ends, slots change hands a bounded number of times", () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const world = new World(seed);
      for (let at = 0; at < 60; at += 1) world.arrive();
      let moves = 0;
      for (let step = 0; step < 15; step += 1) moves += world.run();
      expect(moves).toBeLessThanOrEqual(world.limits.slots);
    }
  });

  it("lets a tenant's first text run on, whoever comes and goes", () => {
    let requests: EngineRequest[] = [0, 1, 2, 3].map((at) => request(`a${at}`));
    const queueing = new FairQueueing();
    let seenFirst = 0;
    for (let step = 0; step < 200; step += 1) {
      // A short text of another tenant each time, gone after its first token.
      requests.push(request(`b${step + 10}`, { startTag: queueing.next("b") }));
      const planned = planStep(requests, limits);
      expect(planned.preempt).not.toContain("a0");
      const sampled = new Set(sampledIn(planned));
      if (sampled.has("a0")) seenFirst += 1;
      requests = commitStep(requests, planned)
        .filter(({ id, tenant }) => tenant === "a" || !sampled.has(id))
        .map((one) => (sampled.has(one.id) ? { ...one, knownTokens: one.knownTokens + 1 } : one));
    }
    expect(seenFirst).toBeGreaterThan(190);
  });
});
