/**
 * The books of one tenant: requests in the current minute, units in the current UTC day, open reservations. Pure SQL
 * over a Durable Object's SQLite, synchronous, hence atomic within one call; the time is an argument. Units are tokens.
 * A reservation holds an estimate until it is settled, exactly once, with what was really read. What was read beyond a
 * day's units is a debt that the next day starts with.
 */
import { LRUCache } from "lru-cache";

export type QuotaLimits = {
  requestsPerMinute: number;
  unitsPerDay: number;
  /** Requests that are admitted and not settled, at once. */
  openRequests: number;
};

export type QuotaSnapshot = {
  requests: QuotaMeter;
  units: QuotaMeter;
};
type QuotaMeter = { limit: number; remaining: number; resetMs: number };

export type ReserveRequest = {
  jobId: string;
  /** Null: never shared with another request. */
  requestKey: string | null;
  units: number;
  /** The request was admitted and counted before, and what it joined had ended: it joins nothing. */
  again?: boolean;
};

/** Which limit a request is over: the minute's requests, those open at once, the day's units. */
export type Refusal = "minute" | "open" | "day";

export type QuotaDecision = { refusal: Refusal | null; snapshot: QuotaSnapshot };
export type ReserveDecision = QuotaDecision & {
  /** That of an open reservation of the same request where there is one: it was charged already. */
  jobId: string;
  /** The same request was settled a moment ago: its result may be in the cache by now. */
  settledLately: boolean;
};

/** What of a Durable Object's `SqlStorage` is used here. */
export type Sql = {
  exec<Row extends Record<string, string | number | null>>(
    query: string,
    ...bindings: (string | number | null)[]
  ): { toArray: () => Row[]; one: () => Row };
};

const windowMs = 60_000;
const dayMs = 86_400_000;
/**
 * A reservation is kept for longer than any job lives: a message waits in the queue for up to a day, and then it is
 * computed. One that is never settled keeps its units.
 */
const reservationMs = 2 * dayMs;
/**
 * A job whose end nobody reported (the edge died between admission and shard) holds its place among the open ones for
 * this long. Jobs that wait an hour for a worker give theirs up, and stay reserved.
 */
const placeMs = 3_600_000;
const latelyMs = 60_000;
const latelyMax = 1_000;

/** `debt`: of the units used today, those that days before left behind. */
type Meter = {
  windowStartMs: number;
  windowCount: number;
  day: number;
  unitsUsed: number;
  debt: number;
  unitsPerDay: number;
};

type Reservation = { requestKey: string | null; units: number; day: number };

export class QuotaLedger {
  readonly #sql: Sql;
  /**
   * When a request was charged last, ms since the epoch, by its key. In memory: what is forgotten is computed again.
   */
  readonly #settledAt = new LRUCache<string, number>({ max: latelyMax });

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS meter (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        windowStartMs INTEGER NOT NULL, windowCount INTEGER NOT NULL,
        day INTEGER NOT NULL, unitsUsed INTEGER NOT NULL
      );
      CREATE TABLE IF NOT EXISTS reservations (
        jobId TEXT PRIMARY KEY, requestKey TEXT, units INTEGER NOT NULL,
        day INTEGER NOT NULL, openedAtMs INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS reservationsByKey ON reservations (requestKey);
      DROP TABLE IF EXISTS charged;
      INSERT OR IGNORE INTO meter (id, windowStartMs, windowCount, day, unitsUsed) VALUES (1, 0, 0, 0, 0);
    `);
    this.#addColumn("meter", "debt", "INTEGER NOT NULL DEFAULT 0");
    // Of books without it: more than any debt.
    this.#addColumn("meter", "unitsPerDay", `INTEGER NOT NULL DEFAULT ${Number.MAX_SAFE_INTEGER}`);
    this.#addColumn("reservations", "claims", "INTEGER NOT NULL DEFAULT 1");
  }

  /** Counts a request that costs no units: a cache hit. */
  count(limits: QuotaLimits, nowMs: number): QuotaDecision {
    const meter = this.#meterAt(nowMs);
    const admitted = meter.windowCount < limits.requestsPerMinute;
    if (admitted) this.#countRequest(meter, limits, nowMs);
    return { refusal: admitted ? null : "minute", snapshot: snapshot(meter, limits, nowMs) };
  }

  /** Counts a request and holds its units, or joins the open reservation of the same request. */
  reserve(request: ReserveRequest, limits: QuotaLimits, nowMs: number): ReserveDecision {
    const { jobId, requestKey, units, again = false } = request;
    const meter = this.#meterAt(nowMs);
    const decide = (refusal: Refusal | null, id: string): ReserveDecision => ({
      refusal,
      jobId: id,
      snapshot: snapshot(meter, limits, nowMs),
      settledLately: nowMs - (this.#settledAt.get(requestKey ?? "") ?? -Infinity) < latelyMs,
    });
    if (!again) {
      if (meter.windowCount >= limits.requestsPerMinute) return decide("minute", jobId);
      this.#countRequest(meter, limits, nowMs);
      const joined = this.#join(requestKey, nowMs);
      if (joined !== null) return decide(null, joined);
    }
    if (this.#openCount(nowMs) >= limits.openRequests) return decide("open", jobId);
    if (meter.unitsUsed + units > limits.unitsPerDay) return decide("day", jobId);
    this.#open(request, meter.day, nowMs);
    meter.unitsUsed += units;
    this.#save(meter);
    return decide(null, jobId);
  }

  /** @returns whether a reservation was closed; a second call for the same job finds none and changes nothing */
  settle(jobId: string, units: number, nowMs: number): boolean {
    const closed = this.#sql
      .exec<Reservation>(
        "DELETE FROM reservations WHERE jobId = ? RETURNING requestKey, units, day",
        jobId,
      )
      .toArray()[0];
    if (closed === undefined) return false;
    if (units > 0 && closed.requestKey !== null) this.#settledAt.set(closed.requestKey, nowMs);
    const meter = this.#meterAt(nowMs);
    const excess = units - closed.units;
    if (closed.day === meter.day || excess > 0) {
      meter.unitsUsed = Math.max(0, meter.unitsUsed + excess);
    } else {
      // It was charged to a day that is over, and comes back of what that day left behind.
      const back = Math.min(meter.debt, -excess);
      meter.unitsUsed -= back;
      meter.debt -= back;
    }
    this.#save(meter);
    return true;
  }

  /** One of the requests that share a reservation has come to nothing; with the last one it is closed at no cost. */
  release(jobId: string, nowMs: number): void {
    const left = this.#sql
      .exec<{ claims: number }>(
        "UPDATE reservations SET claims = claims - 1 WHERE jobId = ? RETURNING claims",
        jobId,
      )
      .toArray()[0];
    if (left !== undefined && left.claims <= 0) this.settle(jobId, 0, nowMs);
  }

  /**
   * Drops reservations that lapsed.
   * @returns when to look again, ms since the epoch, or null where nothing is left to keep
   */
  purge(nowMs: number): number | null {
    this.#sql.exec("DELETE FROM reservations WHERE openedAtMs <= ?", nowMs - reservationMs);
    const { oldest } = this.#sql
      .exec<{ oldest: number | null }>("SELECT MIN(openedAtMs) AS oldest FROM reservations")
      .one();
    const meter = this.#meterAt(nowMs);
    const ends = [
      oldest === null ? 0 : oldest + reservationMs,
      meter.unitsUsed > 0 ? (meter.day + 1) * dayMs : 0,
      meter.windowCount > 0 ? meter.windowStartMs + windowMs : 0,
    ].filter((end) => end > nowMs);
    return ends.length === 0 ? null : Math.max(...ends);
  }

  /** Takes a share in the open reservation of the same request, the newest where there are several. */
  #join(requestKey: string | null, nowMs: number): string | null {
    if (requestKey === null) return null;
    const row = this.#sql
      .exec<{ jobId: string }>(
        `UPDATE reservations SET claims = claims + 1 WHERE jobId = (
           SELECT jobId FROM reservations WHERE requestKey = ? AND openedAtMs > ?
           ORDER BY openedAtMs DESC, rowid DESC LIMIT 1
         ) RETURNING jobId`,
        requestKey,
        nowMs - reservationMs,
      )
      .toArray()[0];
    return row?.jobId ?? null;
  }

  #openCount(nowMs: number): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT COUNT(*) AS count FROM reservations WHERE openedAtMs > ?",
        nowMs - placeMs,
      )
      .one().count;
  }

  #open({ jobId, requestKey, units }: ReserveRequest, day: number, nowMs: number): void {
    this.#sql.exec(
      "INSERT INTO reservations (jobId, requestKey, units, day, openedAtMs) VALUES (?, ?, ?, ?, ?)",
      jobId,
      requestKey,
      units,
      day,
      nowMs,
    );
  }

  #countRequest(meter: Meter, { unitsPerDay }: QuotaLimits, nowMs: number): void {
    if (meter.windowCount === 0) meter.windowStartMs = nowMs;
    meter.windowCount += 1;
    meter.unitsPerDay = unitsPerDay;
    this.#save(meter);
  }

  /**
   * The meter as it stands at `nowMs`: a window that has ended counts as empty, days pay off what was used beyond them.
   */
  #meterAt(nowMs: number): Meter {
    const meter = this.#sql
      .exec<Meter>(
        "SELECT windowStartMs, windowCount, day, unitsUsed, debt, unitsPerDay FROM meter",
      )
      .one();
    if (nowMs >= meter.windowStartMs + windowMs) meter.windowCount = 0;
    const today = Math.floor(nowMs / dayMs);
    if (today > meter.day) {
      const paid = (today - meter.day) * meter.unitsPerDay;
      const debt = Math.max(0, meter.unitsUsed - paid);
      Object.assign(meter, { day: today, unitsUsed: debt, debt });
    }
    return meter;
  }

  #save(meter: Meter): void {
    this.#sql.exec(
      "UPDATE meter SET windowStartMs = ?, windowCount = ?, day = ?, unitsUsed = ?, debt = ?, unitsPerDay = ?",
      meter.windowStartMs,
      meter.windowCount,
      meter.day,
      meter.unitsUsed,
      meter.debt,
      meter.unitsPerDay,
    );
  }

  /** Books of an older version lack it. */
  #addColumn(table: "meter" | "reservations", column: string, type: string): void {
    const known = this.#sql.exec(
      "SELECT 1 FROM pragma_table_info(?) WHERE name = ?",
      table,
      column,
    );
    if (known.toArray().length > 0) return;
    this.#sql.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
  }
}

function snapshot(meter: Meter, limits: QuotaLimits, nowMs: number): QuotaSnapshot {
  const windowEndMs = meter.windowCount === 0 ? nowMs : meter.windowStartMs + windowMs;
  return {
    requests: {
      limit: limits.requestsPerMinute,
      remaining: Math.max(0, limits.requestsPerMinute - meter.windowCount),
      resetMs: windowEndMs - nowMs,
    },
    units: {
      limit: limits.unitsPerDay,
      remaining: Math.max(0, limits.unitsPerDay - meter.unitsUsed),
      resetMs: (meter.day + 1) * dayMs - nowMs,
    },
  };
}
