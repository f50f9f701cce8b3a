/** The object that keeps what one tenant has tuned, and has the files of what is deleted deleted. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TooManyTunedModels, tunedModelsMax } from "../../../edge/registry/tuned-models.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { tunedModel } from "../tuned-model.ts";

let world: OutsideWorld;
beforeEach(() => {
  world = openOutsideWorld();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const modelsOf = (tenant: string) => env.TUNED_MODELS.getByName(tenant);

function store(model: ReturnType<typeof tunedModel>): string[] {
  const keys = model.files.map(({ object }) => object.key);
  for (const key of keys) world.objects.set(key, new Uint8Array(10));
  return keys;
}

it("keeps a model once, whatever is put under its name later", async () => {
  const models = modelsOf("once");
  const model = tunedModel();
  await models.put(model);
  await models.put({ ...model, bytes: 99 });
  expect(await models.list()).toEqual([{ ...model, digests: [] }]);
  expect(await models.find(model.name)).toEqual({ ...model, digests: [] });
  expect(await models.find(tunedModel().name)).toBeNull();
});

it("keeps each tenant's by themselves", async () => {
  const model = tunedModel();
  await modelsOf("mine").put(model);
  expect(await modelsOf("theirs").find(model.name)).toBeNull();
  expect(await modelsOf("theirs").remove(model.name)).toBe(false);
  expect(await modelsOf("mine").find(model.name)).not.toBeNull();
});

it("refuses one more than a tenant may keep, by name, and takes it once another is deleted", async () => {
  const models = modelsOf("many");
  const all = Array.from({ length: tunedModelsMax }, () => tunedModel());
  for (const model of all) await models.put(model);
  const more = tunedModel();
  await runInDurableObject(models, (instance) => {
    expect(() => instance.put(more)).toThrow(TooManyTunedModels);
  });
  // As retries of what is there do.
  await models.put(all[0] ?? more);
  expect(await models.remove(all[0]?.name ?? "")).toBe(true);
  await models.put(more);
  expect((await models.list()).map(({ name }) => name)).toEqual([
    ...all.slice(1).map(({ name }) => name),
    more.name,
  ]);
});

it("deletes the files of what is removed, trying again while the store does not answer", async () => {
  const models = modelsOf("removed");
  const [gone, stays] = [tunedModel(), tunedModel()];
  const kept = store(stays);
  store(gone);
  await models.put(gone);
  await models.put(stays);
  world.storeIsUp = false;
  expect(await models.remove(gone.name)).toBe(true);
  expect(await models.remove(gone.name)).toBe(false);
  expect(await models.find(gone.name)).toBeNull();
  expect(await runDurableObjectAlarm(models)).toBe(true);
  expect(world.objects.size).toBe(4);
  // A late retry of who put it does not bring it back.
  await models.put(gone);
  expect(await models.find(gone.name)).toBeNull();
  world.storeIsUp = true;
  expect(await runDurableObjectAlarm(models)).toBe(true);
  expect([...world.objects.keys()].toSorted()).toEqual(kept.toSorted());
  expect(await runDurableObjectAlarm(models)).toBe(false);
});

it("keeps the digests that results carry, the latest few, while the model is there", async () => {
  const models = modelsOf("digests");
  const model = tunedModel();
  expect(await models.carry(model.name, "early")).toBe(false);
  await models.put(model);
  for (let at = 0; at < 10; at += 1) expect(await models.carry(model.name, `d${at}`)).toBe(true);
  expect((await models.find(model.name))?.digests).toEqual(
    Array.from({ length: 8 }, (_, at) => `d${at + 2}`),
  );
  await models.remove(model.name);
  expect(await models.carry(model.name, "late")).toBe(false);
});
