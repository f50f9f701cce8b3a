/**
 * The books of one tenant: requests in the current minute, units in the current UTC day, open reservations.
 * Pure SQL over a Durable Object's SQLite, synchronous, hence atomic within one call; the time is an argument.
 * Units are tokens. A reservation holds an estimate until it is settled, exactly once, with what was really read.
 */
export type QuotaLimits = { requestsPerMinute: number; unitsPerDay: number };

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
};

export type QuotaDecision = {
  admitted: boolean;
  code: "rate_limit_exceeded" | "insufficient_quota" | null;
  snapshot: QuotaSnapshot;
};
/** `jobId` is that of an open reservation of the same request where there is one: it was charged already. */
export type ReserveDecision = QuotaDecision & { jobId: string };

const windowMs = 60_000;
const dayMs = 86_400_000;
/** Until the cache surely shows what was charged: KV takes up to a minute to forget that a key was absent. */
const chargedMs = 60_000;

type Meter = { windowStartMs: number; windowCount: number; day: number; unitsUsed: number };

export class QuotaLedger {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
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
      CREATE TABLE IF NOT EXISTS charged (requestKey TEXT PRIMARY KEY, atMs INTEGER NOT NULL);
      INSERT OR IGNORE INTO meter VALUES (1, 0, 0, 0, 0);
    `);
  }

  /** Counts a request that costs no units: a cache hit. */
  count(limits: QuotaLimits, nowMs: number): QuotaDecision {
    const meter = this.#meterAt(nowMs);
    const admitted = meter.windowCount < limits.requestsPerMinute;
    if (admitted) this.#countRequest(meter, nowMs);
    return {
      admitted,
      code: admitted ? null : "rate_limit_exceeded",
      snapshot: snapshot(meter, limits, nowMs),
    };
  }

  /**
   * Counts a request and holds its units, or joins the open reservation of the same request. A request that was charged
   * a moment ago, and whose result the cache may not show yet, is let through at no cost.
   */
  reserve(request: ReserveRequest, limits: QuotaLimits, nowMs: number): ReserveDecision {
    const counted = this.count(limits, nowMs);
    if (!counted.admitted) return { ...counted, jobId: request.jobId };
    const open = this.#openReservation(request.requestKey, nowMs);
    if (open !== null) return { ...counted, jobId: open };
    if (this.#wasCharged(request.requestKey, nowMs)) return { ...counted, jobId: request.jobId };

    const meter = this.#meterAt(nowMs);
    const admitted = meter.unitsUsed + request.units <= limits.unitsPerDay;
    if (admitted) this.#openFor(request, meter, nowMs);
    return {
      admitted,
      code: admitted ? null : "insufficient_quota",
      jobId: request.jobId,
      snapshot: snapshot(meter, limits, nowMs),
    };
  }

  /** @returns whether a reservation was closed; a second call for the same job finds none and changes nothing */
  settle(jobId: string, units: number, nowMs: number): boolean {
    const closed = this.#sql
      .exec<{ requestKey: string | null; units: number; day: number }>(
        "DELETE FROM reservations WHERE jobId = ? RETURNING requestKey, units, day",
        jobId,
      )
      .toArray()[0];
    if (closed === undefined) return false;
    if (units > 0 && closed.requestKey !== null) this.#rememberCharge(closed.requestKey, nowMs);
    const meter = this.#meterAt(nowMs);
    // A job of yesterday was charged to yesterday: today's meter knows nothing of its reservation.
    if (closed.day === meter.day) {
      meter.unitsUsed = Math.max(0, meter.unitsUsed - closed.units + units);
      this.#save(meter);
    }
    return true;
  }

  /** Drops reservations that lapsed. @returns when to look again, ms since the epoch, or null where nothing is left to keep */
  purge(nowMs: number): number | null {
    this.#sql.exec("DELETE FROM reservations WHERE openedAtMs <= ?", nowMs - dayMs);
    this.#sql.exec("DELETE FROM charged WHERE atMs <= ?", nowMs - chargedMs);
    const { oldest } = this.#sql
      .exec<{ oldest: number | null }>("SELECT MIN(openedAtMs) AS oldest FROM reservations")
      .one();
    const meter = this.#meterAt(nowMs);
    const ends = [
      oldest === null ? 0 : oldest + dayMs,
      meter.unitsUsed > 0 ? (meter.day + 1) * dayMs : 0,
      meter.windowCount > 0 ? meter.windowStartMs + windowMs : 0,
    ].filter((end) => end > nowMs);
    return ends.length === 0 ? null : Math.max(...ends);
  }

  #openReservation(requestKey: string | null, nowMs: number): string | null {
    if (requestKey === null) return null;
    const row = this.#sql
      .exec<{ jobId: string }>(
        "SELECT jobId FROM reservations WHERE requestKey = ? AND openedAtMs > ? LIMIT 1",
        requestKey,
        nowMs - dayMs,
      )
      .toArray()[0];
    return row?.jobId ?? null;
  }

  #wasCharged(requestKey: string | null, nowMs: number): boolean {
    if (requestKey === null) return false;
    const since = nowMs - chargedMs;
    return (
      this.#sql
        .exec("SELECT 1 FROM charged WHERE requestKey = ? AND atMs > ?", requestKey, since)
        .toArray().length > 0
    );
  }

  #rememberCharge(requestKey: string, nowMs: number): void {
    this.#sql.exec("DELETE FROM charged WHERE atMs <= ?", nowMs - chargedMs);
    this.#sql.exec("INSERT OR REPLACE INTO charged VALUES (?, ?)", requestKey, nowMs);
  }

  #openFor(request: ReserveRequest, meter: Meter, nowMs: number): void {
    this.#sql.exec(
      "INSERT INTO reservations VALUES (?, ?, ?, ?, ?)",
      request.jobId,
      request.requestKey,
      request.units,
      meter.day,
      nowMs,
    );
    meter.unitsUsed += request.units;
    this.#save(meter);
  }

  #countRequest(meter: Meter, nowMs: number): void {
    if (meter.windowCount === 0) meter.windowStartMs = nowMs;
    meter.windowCount += 1;
    this.#save(meter);
  }

  /** The meter as it stands at `nowMs`: a window or day that has ended counts as empty. */
  #meterAt(nowMs: number): Meter {
    const meter = this.#sql
      .exec<Meter>("SELECT windowStartMs, windowCount, day, unitsUsed FROM meter")
      .one();
    if (nowMs >= meter.windowStartMs + windowMs) meter.windowCount = 0;
    const today = Math.floor(nowMs / dayMs);
    if (today > meter.day) Object.assign(meter, { day: today, unitsUsed: 0 });
    return meter;
  }

  #save(meter: Meter): void {
    this.#sql.exec(
      "UPDATE meter SET windowStartMs = ?, windowCount = ?, day = ?, unitsUsed = ?",
      meter.windowStartMs,
      meter.windowCount,
      meter.day,
      meter.unitsUsed,
    );
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
