/**
 * What runs of a few sizes take, measured when a session is opened: batches are made as large as pays on this machine
 * and with this model. Best of two, because other processes only make a run slower. Ends early where runs are slow, so
 * that loading takes hardly longer for it.
 */
import type { EncoderRow } from "../model/encoder-row.ts";
import type { EncoderSession } from "../model/encoder-session.ts";
import type { RunCost } from "../model/run-cost.ts";
import { prepareRows } from "../model/run-rows.ts";
import type { Session } from "../runtime/session.ts";

type Feeds = Parameters<Session["run"]>[0];

export type MeasureOptions = {
  /** Longest input of the model. */
  maxTokens: number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  signal: AbortSignal;
};

/**
 * Tokens of the runs, in rows of a usual text's length: some hundred, because smaller products are slower per token; on
 * a GPU thousands, because it starts all runs at about the same cost.
 */
const sizes = { cpu: [16, 128, 384], cuda: [256, 2_048, 8_192] };
const rowTokensMax = 32;
const repeats = 2;
/** Of all runs together; a run under way is finished. */
const budgetMs = 150;

/** @returns a cost by size, of the sizes for which there was time. Never rejects: a session is usable without. */
export async function measureCosts(session: Session, options: MeasureOptions): Promise<RunCost[]> {
  const rowTokens = Math.min(rowTokensMax, options.maxTokens);
  const endsAt = options.now() + budgetMs;
  const costs: RunCost[] = [];
  for (const size of sizes[session.provider]) {
    const rows = Math.max(1, Math.round(size / rowTokens));
    const columns = Math.min(size, rowTokens);
    const seconds = await bestOf(session, madeUpFeeds(session, rows, columns), {
      ...options,
      endsAt,
    });
    if (seconds < Infinity) costs.push({ tokens: rows * columns, seconds });
  }
  return costs;
}

/** Infinity: there was no time for a run, or it was stopped. */
async function bestOf(
  session: Session,
  feeds: Feeds,
  { now, signal, endsAt }: MeasureOptions & { endsAt: number },
): Promise<number> {
  let best = Infinity;
  for (let repeat = 0; repeat < repeats && now() < endsAt; repeat += 1) {
    const startedAt = now();
    try {
      await session.run(feeds, { signal });
    } catch {
      // Given up, or a graph that wants other inputs: whoever runs it for an answer is told.
      return Infinity;
    }
    best = Math.min(best, (now() - startedAt) / 1_000);
  }
  return best;
}

/** Inputs of made-up tokens for a session of any head. */
export function madeUpFeeds(
  session: Pick<EncoderSession, "inputs" | "groupOverheadRows">,
  rows: number,
  columns: number,
): Feeds {
  const row: EncoderRow = {
    ids: Array.from({ length: columns }, () => 0),
    positions: [0],
    outputs: [],
  };
  return prepareRows(
    Array.from({ length: rows }, () => row),
    { session },
  ).feeds;
}
