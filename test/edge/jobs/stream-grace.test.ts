/** How long a computation lives on after the last that read it has left. Of the board alone, on a clock of its own. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ComputationRows } from "../../../edge/jobs/computation-rows.ts";
import { createTables } from "../../../edge/jobs/create-tables.ts";
import { JobBoard } from "../../../edge/jobs/job-board.ts";
import { JobRows } from "../../../edge/jobs/job-rows.ts";

const id = `job_0_${"0".repeat(31)}1`;
const tenant = "operator";
const graceMilliseconds = 10_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** @returns the board, and whom its workers were told to give up */
function openBoard(sql: SqlStorage) {
  createTables(sql);
  const givenUp: string[] = [];
  const board = new JobBoard({
    rows: new JobRows(sql),
    computationRows: new ComputationRows(sql),
    silence: { silentMs: 180_000, unnamedMs: 86_400_000 },
    send: () => {},
    release: () => {},
    tellGivenUp: (job) => {
      givenUp.push(job);
      return true;
    },
    notify: () => {},
    onSweepSooner: () => {},
    now: () => 1_000,
    randomHex: () => "0".repeat(32),
  });
  return { board, givenUp };
}

function begin(board: JobBoard): void {
  const job = {
    id,
    tenant,
    task: "text-generation",
    model: "writer",
    requestKey: null,
    createdAt: 1_000,
    rendering: { route: "tasks" },
    warnings: [],
  } as const;
  board.stream({
    job: { ...job, warnings: [] },
    message: "{}",
    messageBytes: 2,
    keep: "if-it-outlasts",
    wait: { waiter: "first", milliseconds: 1, graceMilliseconds },
    webhook: null,
  });
  board.takeForSending(id);
  board.markSent(id);
}

async function onBoard(use: (board: JobBoard, givenUp: string[]) => void): Promise<void> {
  const stub = env.SHARD.getByName(`shard-of-${crypto.randomUUID()}`);
  await runInDurableObject(stub, (_, { storage: { sql } }) => {
    const { board, givenUp } = openBoard(sql);
    begin(board);
    use(board, givenUp);
  });
}

it("is the grace that the reader asked for, and then a worker is told", async () => {
  await onBoard((board, givenUp) => {
    board.leave("first");
    vi.advanceTimersByTime(graceMilliseconds - 1);
    expect(givenUp).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(givenUp).toEqual([id]);
    expect(board.read({ id, tenant, waiter: "late", graceMilliseconds: 0 })).toBeNull();
  });
});

it("is as long as another reads it who came within the grace", async () => {
  await onBoard((board, givenUp) => {
    board.leave("first");
    vi.advanceTimersByTime(graceMilliseconds - 1);
    expect(board.read({ id, tenant, waiter: "second", graceMilliseconds: 0 })).not.toBeNull();
    vi.advanceTimersByTime(10 * graceMilliseconds);
    expect(givenUp).toEqual([]);
    board.leave("second");
    expect(givenUp).toEqual([id]);
  });
});

it("is no grace where another tenant asks", async () => {
  await onBoard((board) => {
    const other = { id, tenant: "somebody else", waiter: "second", graceMilliseconds: 0 };
    expect(board.read(other)).toBeNull();
  });
});
