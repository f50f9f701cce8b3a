/**
 * The object that counts for a tenant: exact under parallel calls, kept through evictions, gone when nothing matters.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";

const limits = { requestsPerMinute: 20, unitsPerDay: 1_000, openRequests: 100 };

it("admits exactly its limit of parallel requests", async () => {
  const quota = env.QUOTA.getByName("parallel");
  const decisions = await Promise.all(
    Array.from({ length: 64 }, (_, at) => {
      const jobId = `job-${at}`;
      return quota.reserve({ jobId, requestKey: null, units: 1 }, limits);
    }),
  );
  expect(decisions.filter(({ refusal }) => refusal === null)).toHaveLength(20);
});

it("reserves exactly the units there are", async () => {
  const quota = env.QUOTA.getByName("units");
  const decisions = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      quota.reserve({ jobId: `job-${at}`, requestKey: null, units: 99 }, limits),
    ),
  );
  expect(decisions.filter(({ refusal }) => refusal === null)).toHaveLength(10);
});

it("holds exactly as many open requests as it may", async () => {
  const quota = env.QUOTA.getByName("open");
  const decisions = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      quota.reserve(
        { jobId: `job-${at}`, requestKey: null, units: 1 },
        { ...limits, openRequests: 8 },
      ),
    ),
  );
  expect(decisions.map(({ refusal }) => refusal)).toEqual([
    ...Array<null>(8).fill(null),
    ...Array<string>(12).fill("open"),
  ]);
});

it("adds up the refusals that isolates tell it of", async () => {
  const quota = env.QUOTA.getByName("refusals");
  expect(await quota.noteRefusals(60, 100)).toBe(0);
  expect(await quota.noteRefusals(39, 100)).toBe(0);
  const lastsMs = await quota.noteRefusals(1, 100);
  expect(lastsMs).toBeGreaterThan(0);
  expect(lastsMs).toBeLessThanOrEqual(60_000);
});

it("takes over the books of an older version, and owes nothing for them", async () => {
  const quota = env.QUOTA.getByName("older");
  const yesterday = Math.floor(Date.now() / 86_400_000) - 1;
  await runInDurableObject(quota, (_, { storage }) => {
    storage.sql.exec(`
      CREATE TABLE meter (
        id INTEGER PRIMARY KEY CHECK (id = 1), windowStartMs INTEGER NOT NULL,
        windowCount INTEGER NOT NULL, day INTEGER NOT NULL, unitsUsed INTEGER NOT NULL
      );
      CREATE TABLE reservations (
        jobId TEXT PRIMARY KEY, requestKey TEXT, units INTEGER NOT NULL,
        day INTEGER NOT NULL, openedAtMs INTEGER NOT NULL
      );
      CREATE TABLE charged (requestKey TEXT PRIMARY KEY, atMs INTEGER NOT NULL);
      INSERT INTO meter VALUES (1, 0, 0, ${yesterday}, 900);
      INSERT INTO reservations VALUES ('a', 'k', 40, ${yesterday}, ${Date.now() - 1_000});
    `);
  });
  const joined = await quota.reserve({ jobId: "b", requestKey: "k", units: 40 }, limits);
  expect(joined).toMatchObject({ refusal: null, jobId: "a" });
  expect(joined.snapshot.units.remaining).toBe(1_000);
  expect(await quota.settle("a", 30)).toBe(true);
});

it("remembers through an eviction", async () => {
  const quota = env.QUOTA.getByName("evicted");
  await quota.reserve({ jobId: "a", requestKey: "k", units: 30 }, limits);
  await evictDurableObject(quota);
  const again = await quota.reserve({ jobId: "b", requestKey: "k", units: 30 }, limits);
  expect(again.jobId).toBe("a");
  expect(again.snapshot.requests.remaining).toBe(18);
  expect(again.snapshot.units.remaining).toBe(970);
});

it("wakes to empty itself, and starts over", async () => {
  const quota = env.QUOTA.getByName("emptied");
  await quota.reserve({ jobId: "a", requestKey: null, units: 30 }, limits);
  // The alarm of the day's end, run now: the books still matter, so it sets another.
  expect(await runDurableObjectAlarm(quota)).toBe(true);
  await runInDurableObject(quota, async (_, { storage }) => {
    expect(await storage.getAlarm()).not.toBeNull();
    // As if everything in the books were of a day long past.
    storage.sql.exec("UPDATE meter SET windowStartMs = 0, day = 0");
    storage.sql.exec("UPDATE reservations SET openedAtMs = 0");
  });
  expect(await runDurableObjectAlarm(quota)).toBe(true);
  await runInDurableObject(quota, async (_, { storage }) => {
    const tables = storage.sql
      .exec("SELECT name FROM sqlite_master WHERE name = 'meter'")
      .toArray();
    expect(tables).toEqual([]);
    expect(await storage.getAlarm()).toBeNull();
  });
  const { snapshot } = await quota.count(limits);
  expect(snapshot.units.remaining).toBe(1_000);
});
