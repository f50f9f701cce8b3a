/** What a shard still knows, and still does, after it was put away or struck down. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { resultDocument } from "../../../contract/result-document.ts";
import { createTables } from "../../../edge/jobs/create-tables.ts";
import { JobRows } from "../../../edge/jobs/job-rows.ts";
import { ComputationRows } from "../../../edge/jobs/computation-rows.ts";
import { call, embed, report, resultOf, sent, started, succeeded } from "./caller-and-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a shard that was put away", () => {
  it("knows its jobs again", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    await abortAllDurableObjects();
    expect((await getJob(id)).body).toMatchObject({ status: "processing" });
    await report(message.shard, [succeeded(message)]);
    await abortAllDurableObjects();
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
  });

  it("makes one job of a request that is asked again", async () => {
    const headers = { prefer: "respond-async, wait=60" };
    const response = embed(fresh(), { headers });
    const message = await sent(world);
    await abortAllDurableObjects();
    expect((await response).status).toBe(202);
    expect(await (await response).json()).toMatchObject({ id: message.id });
    await answerWith(message);
    expect((await getJob(message.id)).body).toMatchObject({ status: "succeeded" });
    expect(new Set(world.messages.map(({ id }) => id))).toEqual(new Set([message.id]));
  });

  it("sends what it had not sent", async () => {
    world.queueIsUp = false;
    const { id } = await accepted(fresh());
    await vi.waitFor(() => expect(world.sendsRefused).toBeGreaterThan(0));
    await abortAllDurableObjects();
    world.queueIsUp = true;
    await getJob(id);
    expect((await sent(world)).id).toBe(id);
  });

  it("takes over the tables of the first version, whose tickets had the messages", async () => {
    const stub = env.SHARD.getByName("shard-of-the-first-version");
    await runInDurableObject(stub, (_, { storage: { sql } }) => {
      sql.exec("DROP TABLE jobs; DROP TABLE computations");
      sql.exec(`CREATE TABLE tickets (
        id TEXT PRIMARY KEY, work_id TEXT NOT NULL, tenant TEXT NOT NULL, request_key TEXT,
        task TEXT NOT NULL, model TEXT NOT NULL, rendering TEXT NOT NULL, warnings TEXT NOT NULL, webhook TEXT,
        status TEXT NOT NULL, sequence INTEGER NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER,
        message TEXT, result TEXT, result_reference TEXT, error TEXT)`);
      const insert = `INSERT INTO tickets VALUES (?, ?, 'operator', NULL, 'noop', 'noop', '{}', '[]', NULL, ?, ?, 1, ?,
        ?, NULL, NULL, NULL)`;
      sql.exec(insert, "a", "a", "starting", 0, null, "{}");
      sql.exec(insert, "b", "b", "processing", 3, null, null);
      sql.exec(insert, "c", "c", "succeeded", 4, 2, null);
      const result = { task: "noop" as const, model: "noop", modelDigest: "noop", outputs: ["x"] };
      const whole = { ...result, usage: { promptTokens: 0 }, warnings: [] };
      sql.exec("UPDATE tickets SET result = ? WHERE id = 'c'", JSON.stringify(whole));
      createTables(sql);
      expect(new JobRows(sql).find("c")?.job.result).toEqual({
        kind: "inline",
        document: resultDocument(whole),
      });
      const computations = new ComputationRows(sql);
      expect(new JobRows(sql).open().map(({ job }) => job.id)).toEqual(["a", "b"]);
      expect(computations.all()).toMatchObject([
        { id: "a", sent: false, named: false, status: "starting", sequence: 0 },
        {
          id: "b",
          sent: true,
          named: true,
          status: "processing",
          sequence: 3,
          quietSince: expect.closeTo(Date.now(), -4),
        },
      ]);
      expect(computations.messageOf("a")).toBe("{}");
    });
  });

  it("takes over the tables of the second version, whose computations were called works", async () => {
    const stub = env.SHARD.getByName("shard-of-the-second-version");
    await runInDurableObject(stub, (_, { storage: { sql } }) => {
      sql.exec("DROP TABLE jobs; DROP TABLE computations");
      sql.exec(`
        CREATE TABLE tickets (
          id TEXT PRIMARY KEY, work_id TEXT NOT NULL, tenant TEXT NOT NULL, request_key TEXT,
          task TEXT NOT NULL, model TEXT NOT NULL, rendering TEXT NOT NULL, warnings TEXT NOT NULL, webhook TEXT,
          status TEXT NOT NULL, sequence INTEGER NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER,
          result TEXT, result_reference TEXT, error TEXT);
        CREATE INDEX tickets_by_work ON tickets (work_id);
        CREATE INDEX tickets_by_end ON tickets (finished_at);
        CREATE TABLE works (
          id TEXT PRIMARY KEY, tenant TEXT NOT NULL, request_key TEXT, message TEXT, sent INTEGER NOT NULL,
          named INTEGER NOT NULL, resent INTEGER NOT NULL, quiet_since INTEGER NOT NULL, given_up INTEGER NOT NULL);
        INSERT INTO tickets VALUES ('a', 'a', 'operator', NULL, 'noop', 'noop', '{}', '[]', NULL, 'processing', 7, 1,
          NULL, NULL, NULL, NULL);
        INSERT INTO works VALUES ('a', 'operator', NULL, '{}', 1, 1, 0, 5, 0);
      `);
      createTables(sql);
      createTables(sql);
      expect(new JobRows(sql).open().map(({ job }) => job.id)).toEqual(["a"]);
      expect(new ComputationRows(sql).all()).toMatchObject([
        { id: "a", sent: true, named: true, status: "processing", sequence: 7, quietSince: 5 },
      ]);
    });
  });

  it("still tells a worker to give up what was cancelled", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await call(`/v1/jobs/${id}/cancel`);
    await abortAllDurableObjects();
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]);
  });

  it("has the result of a call it forgot stored under its key", async () => {
    const { id, shard } = { id: `job_5_${crypto.randomUUID().replaceAll("-", "")}`, shard: 5 };
    const requestKey = crypto.randomUUID().replaceAll("-", "").repeat(2);
    const forgotten: JobMessage = {
      version: 1,
      id,
      shard,
      tenant: "operator",
      model: "all-MiniLM-L6-v2",
      requestKey,
      createdAt: Date.now(),
      task: "feature-extraction",
      parameters: {},
      inputs: ["forgotten"],
    };
    const { acked, cancelled } = await report(shard, [succeeded(forgotten)], [id]);
    expect(acked).toEqual([{ jobId: id, sequence: 2 }]);
    expect(cancelled).toEqual([]);
    const { modelDigest } = resultOf(forgotten);
    expect(await env.CACHE.get(`${requestKey}:${modelDigest}`)).toBe(
      resultDocument(resultOf(forgotten)),
    );
  });
});
