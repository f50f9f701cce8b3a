/**
 * Who gets a slot, and who gives one up for it: pure, on the records of step-plan.ts. Slots are shared by tenants,
 * max-min fair: the next free one goes to the tenant that holds the fewest, and where none is free, a tenant that
 * holds two more gives one up. After that it holds no fewer than the other, so that nothing goes back and forth. It
 * gives up what loses the least, never its first text, which so comes to its end.
 *
 * Where there are more tenants than slots, they take turns: a tenant without any that is overdue gets the slot of a
 * text whose turn is over. A turn makes more tokens than have to be read again for a quarter of it, and some in any
 * case.
 */
import { inServiceOrder, memoryOf, type EngineRequest, type StepLimits } from "./engine-request.ts";

export type Seated = EngineRequest & { slot: number };

/** Tokens of a turn at least, and as a part of those that are read again for the next one. */
const [turnTokensMin, turnShare] = [64, 1 / 4];

/** @param seated those that go on @param waiting of each tenant, its first ones */
export function planSeats(
  seated: readonly Seated[],
  waiting: readonly EngineRequest[],
  limits: StepLimits,
): { admitted: Seated[]; displaced: Seated[] } {
  const kept = new Set(seated);
  const admitted: Seated[] = [];
  const displaced: Seated[] = [];
  const rest = new Set(waiting);
  for (;;) {
    const holds = slotsByTenant([...kept, ...admitted]);
    const next = first(rest, (a, b) => held(holds, a) - held(holds, b) || inServiceOrder(a, b));
    if (next === null) break;
    const leaving = makeRoom(next, { kept: [...kept], admitted }, limits);
    if (leaving === null) break;
    rest.delete(next);
    for (const each of leaving) kept.delete(each);
    displaced.push(...leaving);
    const slot = freeSlot([...kept, ...admitted], limits);
    // The last token is always computed: the next one is sampled from its row.
    const computedTokens = Math.min(next.cachedTokens, next.knownTokens - 1);
    admitted.push({ ...next, slot, computedTokens });
  }
  return { admitted, displaced };
}

type Holds = ReadonlyMap<EngineRequest["tenant"], number>;

function slotsByTenant(seated: readonly Seated[]): Holds {
  const holds = new Map<EngineRequest["tenant"], number>();
  for (const { tenant } of seated) holds.set(tenant, (holds.get(tenant) ?? 0) + 1);
  return holds;
}

function held(holds: Holds, { tenant }: EngineRequest): number {
  return holds.get(tenant) ?? 0;
}

/** @returns those that give their slots up for `next`; null: it has to wait */
function makeRoom(
  next: EngineRequest,
  { kept, admitted }: { kept: readonly Seated[]; admitted: readonly Seated[] },
  limits: StepLimits,
): Seated[] | null {
  const staying = new Set(kept);
  const leaving: Seated[] = [];
  for (;;) {
    const seated = [...staying, ...admitted];
    if (fits([...seated, next], limits)) return leaving;
    const holds = slotsByTenant(seated);
    const victim = unfairlyHeld(next, [...staying], holds) ?? turnIsOver(next, [...staying], holds);
    if (victim === null) return null;
    staying.delete(victim);
    leaving.push(victim);
  }
}

function fits(requests: readonly EngineRequest[], limits: StepLimits): boolean {
  const tokens = requests.reduce((sum, request) => sum + memoryOf(request, limits), 0);
  return requests.length <= limits.slots && tokens <= limits.memoryTokens;
}

/** Of the tenant with the most slots, where it has two more: what has the least to lose, but not its first. */
function unfairlyHeld(
  next: EngineRequest,
  staying: readonly Seated[],
  holds: Holds,
): Seated | null {
  const most = Math.max(0, ...staying.map((each) => held(holds, each)));
  if (most < held(holds, next) + 2) return null;
  const theirs = staying.filter((each) => held(holds, each) === most);
  const firsts = new Set(firstOfEachTenant(theirs));
  const others = theirs.filter((each) => !firsts.has(each));
  return first(others, (a, b) => a.computedTokens - b.computedTokens || b.arrival - a.arrival);
}

function firstOfEachTenant(requests: readonly Seated[]): Seated[] {
  const seen = new Set<EngineRequest["tenant"]>();
  return requests
    .toSorted((a, b) => a.arrival - b.arrival)
    .filter(({ tenant }) => !seen.has(tenant) && seen.add(tenant));
}

function turnIsOver(next: EngineRequest, staying: readonly Seated[], holds: Holds): Seated | null {
  if (next.overdueSince === null || held(holds, next) > 0) return null;
  const over = staying.filter(({ turnTokens, knownTokens }) => {
    return turnTokens >= Math.max(turnTokensMin, turnShare * knownTokens);
  });
  return first(over, (a, b) => b.turnTokens - a.turnTokens || b.arrival - a.arrival);
}

function freeSlot(seated: readonly Seated[], { slots }: StepLimits): number {
  const taken = new Set(seated.map(({ slot }) => slot));
  const free = Array.from({ length: slots }, (_, slot) => slot).find((slot) => !taken.has(slot));
  if (free === undefined) throw new RangeError("no slot is free");
  return free;
}

function first<T>(all: Iterable<T>, compare: (a: T, b: T) => number): T | null {
  let found: T | null = null;
  for (const each of all) if (found === null || compare(each, found) < 0) found = each;
  return found;
}
