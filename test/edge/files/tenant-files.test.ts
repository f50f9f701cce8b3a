/**
 * The object that owns a key's files: what it may store, when a file goes, and what becomes of a check whose worker
 * never answers.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { shardOfJobId } from "../../../contract/job-id.ts";
import { storageLimits } from "../../../edge/files/storage-limits.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { formatFileId, keyOfFile, type StoredFile } from "../../../edge/files/stored-file.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";

let world: OutsideWorld;
beforeEach(() => {
  world = openOutsideWorld();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const idOf = (at: number) => formatFileId(String(at).padStart(32, "0"));

function fileOf(at: number, expiresAt: number | null = null): StoredFile {
  return {
    id: idOf(at),
    key: keyOfFile(idOf(at)),
    filename: "a.jsonl",
    purpose: "fine-tune",
    bytes: 10,
    sha256: "0".repeat(64),
    createdAt: Math.floor(Date.now() / 1_000),
    expiresAt,
    status: "uploaded",
    statusDetails: null,
  };
}

/** A file that was uploaded. */
async function stored(tenant: string, at: number, expiresAt: number | null = null) {
  const files = env.FILES.getByName(tenant);
  expect(await files.begin(idOf(at), 10)).toBeNull();
  world.objects.set(keyOfFile(idOf(at)), new Uint8Array(10));
  expect(await files.end(tenant, fileOf(at, expiresAt))).toBe(true);
  return files;
}

it("gives room for so many uploads at a time", async () => {
  const files = env.FILES.getByName("uploads");
  for (let at = 0; at < storageLimits.uploadsMax; at += 1) {
    expect(await files.begin(idOf(at), 1)).toBeNull();
  }
  expect(await files.begin(idOf(9), 1)).toBe("uploads");
  await files.discard(idOf(0));
  expect(await files.begin(idOf(9), 1)).toBeNull();
});

it("gives room for so many bytes, those under way included", async () => {
  const files = env.FILES.getByName("bytes");
  expect(await files.begin(idOf(1), 1e9 - 5)).toBeNull();
  expect(await files.begin(idOf(2), 6)).toBe("bytes");
  expect(await files.begin(idOf(2), 5)).toBeNull();
  await files.discard(idOf(1));
  expect(await files.begin(idOf(3), 6)).toBeNull();
});

it("bears the time that its upload was answered with, however long that took", async () => {
  const files = env.FILES.getByName("slow");
  await files.begin(idOf(1), 10);
  world.objects.set(keyOfFile(idOf(1)), new Uint8Array(10));
  const file = { ...fileOf(1), createdAt: Math.floor(Date.now() / 1_000) + 60 };
  await files.end("slow", file);
  expect(await files.find("slow", idOf(1))).toEqual(file);
});

it("shows what is uploaded to its own key, and nothing that is under way", async () => {
  const files = await stored("mine", 1);
  await files.begin(idOf(2), 1);
  const page = { purpose: null, limit: 10, order: "asc", after: null } as const;
  expect((await files.page("mine", page))?.map(({ id }) => id)).toEqual([idOf(1)]);
  expect(await env.FILES.getByName("other").find("other", idOf(1))).toBeNull();
  expect(await files.page("mine", { ...page, after: idOf(2) })).toBeNull();
});

it("deletes a file with its bytes, again where the store was down", async () => {
  const files = await stored("deleting", 1);
  world.storeIsUp = false;
  expect(await files.remove(idOf(1))).toBe(true);
  expect(await files.remove(idOf(1))).toBe(false);
  await runDurableObjectAlarm(files);
  expect(world.objects.size).toBe(1);
  world.storeIsUp = true;
  await vi.waitFor(async () => {
    await runDurableObjectAlarm(files);
    expect(world.objects.size).toBe(0);
  });
});

it("deletes a file whose time is over, and an upload that is not heard of any more", async () => {
  const files = await stored("expiring", 1, Math.floor(Date.now() / 1_000));
  await files.begin(idOf(2), 1);
  world.objects.set(keyOfFile(idOf(2)), new Uint8Array(1));
  await runInDurableObject(files, (_, { storage }) => {
    storage.sql.exec("UPDATE files SET created_at = created_at - 100 WHERE status = 'uploading'");
  });
  await runDurableObjectAlarm(files);
  expect(world.objects.size).toBe(0);
  expect(await files.end("expiring", fileOf(2))).toBe(false);
});

it("keeps an upload that is heard of", async () => {
  const files = env.FILES.getByName("heard");
  await files.begin(idOf(1), 1);
  const heardAt = (ago: number) =>
    runInDurableObject(files, (_, { storage }) => {
      storage.sql.exec("UPDATE files SET created_at = created_at - ?", ago);
      return storage.sql.exec<{ at: number }>("SELECT created_at AS at FROM files").one().at;
    });
  const before = await heardAt(80);
  await files.hear(idOf(1));
  expect((await heardAt(0)) - before).toBeGreaterThanOrEqual(80);
  expect(await files.end("heard", fileOf(1))).toBe(true);
});

/** Checks of files of other tests may still be on their way. */
function messagesOf(owner: string) {
  return world.messages.filter(({ tenant }) => tenant === owner);
}

it("has a file checked again where its worker was lost, and then gives it up", async () => {
  const files = await stored("lost", 1);
  let failed = 0;
  const fail = async () => {
    await vi.waitFor(() => expect(messagesOf("lost")).toHaveLength(failed + 1));
    const message = messagesOf("lost")[failed];
    if (message === undefined) throw new Error("no message");
    failed += 1;
    const error = { code: "worker_lost", message: "lost", param: null } as const;
    const event = { jobId: message.id, sequence: 1, kind: "failed", units: 0, error } as const;
    const shard = shardStub(env, shardOfJobId(message.id) ?? 0);
    await shard.receive({ events: [event], inFlight: [] });
  };
  for (let tries = 0; tries < 3; tries += 1) {
    expect(await files.find("lost", idOf(1))).toMatchObject({ status: "uploaded" });
    await fail();
  }
  expect(await files.find("lost", idOf(1))).toMatchObject({
    status: "error",
    statusDetails: expect.stringMatching(/could not be checked/),
  });
  expect(messagesOf("lost")).toHaveLength(failed);
});
