/** Tuning jobs from their message to their outcome, as the edge hears of them. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TuningOrder } from "../../contract/training/tuning-job.ts";
import { openFileUploads } from "../../gpu-worker/jobs/object-upload.ts";
import { never } from "../catalog/catalog-bench.ts";
import { writeChattyDecoder } from "../training/chatty-decoder.ts";
import { classify } from "../training/tune-bench.ts";
import { labelled, sha256, storeOf, TuningRig, usualOptions } from "./tuning-rig.ts";

let rig: TuningRig;

beforeAll(async () => {
  rig = await TuningRig.open();
  await rig.work();
});
beforeEach(() => rig.edge.forget());
afterAll(() => rig.close());

async function succeeded(order: TuningOrder) {
  const outcome = await rig.outcomeOf(order);
  if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
  return outcome;
}

const fileIn = ({ model }: Awaited<ReturnType<typeof succeeded>>, name: string) =>
  model.files.find((file) => file.path === name)?.object ?? { key: "none", bytes: 0, sha256: "" };

const wanting = (changes: Partial<TuningOrder["options"]>) => ({
  options: { ...usualOptions, ...changes },
});

function afterFirstScore(action: "cancel" | "pause" | "stop"): void {
  rig.edge.action = ({ events }) =>
    events.some(({ type }) => type === "metrics") ? action : "continue";
}

function trainedTokens({ id }: TuningOrder): number {
  const told = rig.edge.reports.flatMap((each) => (each.id === id ? (each.progress ?? []) : []));
  return told.at(-1)?.trainedTokens ?? 0;
}

async function failureOf(order: Promise<TuningOrder>) {
  const outcome = await rig.outcomeOf(await order);
  return outcome.kind === "failed" ? outcome.error : outcome;
}

function madeRelations(): string {
  const words = ["a", "quick", "brown", "fox"];
  const pairs = words.flatMap((one) => words.map((other) => [one, other] as const));
  const lines = pairs.map(([one, other]) => ({
    text: `<e1>${one}</e1> fox <e2>${other}</e2>`,
    label: one < other ? "x" : "y",
  }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

describe("a job", () => {
  it("is claimed, its message deleted, trained and stored, and told from its plan to its model", async () => {
    const order = await rig.add({}, labelled(200));
    const outcome = await succeeded(order);
    expect(rig.edge.claims).toEqual([{ id: order.id, tenant: "operator", worker: "trainer" }]);
    expect(rig.queued("jobs")).toBe(0);
    const { events } = rig.edge;
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, at) => at + 1));
    expect(events[0]?.message).toMatch(
      /^Strategy full: 3 epochs of all 160 examples, 16 a step \(30 steps\); 40 .* of 900 seconds\.$/,
    );
    expect(events[0]?.data).toMatchObject({ strategy: "full", n_epochs: 3, total_steps: 30 });
    const scores = events.filter(({ type }) => type === "metrics");
    expect(scores.map(({ data }) => data["step"])).toEqual([6, 12, 18, 24, 30]);
    expect(scores[0]?.data).toMatchObject({
      train_loss: expect.any(Number),
      valid_loss: expect.any(Number),
      valid_accuracy: expect.any(Number),
    });
    const checkpoints = rig.edge.reports.flatMap((report) => report.checkpoints);
    expect(checkpoints[0]).toMatchObject({ step: 6, metrics: { valid_loss: expect.any(Number) } });
    const { progress } = rig.edge.reports.at(-1) ?? {};
    expect(progress).toMatchObject({ step: 30, steps: 30 });
    expect(progress?.trainedTokens).toBeGreaterThan(160 * 3);
    expect(outcome.resultFiles.map(({ filename }) => filename)).toEqual([
      "metrics.csv",
      "report.html",
      "report.json",
    ]);
    const verdict = events.find(({ message }) => message.startsWith("Verdict: "));
    expect(verdict?.message).toMatch(/^Verdict: [^:]+: Accuracy went from 0\.\d+ to /);
    expect(verdict?.data).toMatchObject({ base_accuracy: expect.any(Number) });
    const [metrics] = outcome.resultFiles;
    expect(metrics?.object.key).toBe(`${order.resultPrefix}metrics.csv`);
    if (metrics !== undefined) expect(String(await rig.read(metrics.object))).toMatch(/^step,/);
    await expect.poll(() => existsSync(rig.folderOf(order))).toBe(false);
    expect(rig.edge.badSignatures).toBe(0);
  });

  it("gives files that serve, described as the catalogue announces them", async () => {
    const { model } = await succeeded(await rig.add(wanting({ epochs: 20 })));
    const lines = model.files.map(({ path: name, object }) => `${object.sha256}  ${name}\n`);
    expect(model.digest).toBe(sha256(lines.join("")));
    expect(model.bytes).toBe(model.files.reduce((sum, { object }) => sum + object.bytes, 0));
    await rig.fetchModel(model.files, rig.bench.local("tuned"));
    const catalog = await rig.bench.open();
    const [[best] = []] = await classify(catalog, "tuned", ["a quick fox"]);
    expect(best?.label).toBe("true");
    const state = catalog.states().find(({ id }) => id === "tuned");
    const { tasks, limits } = model;
    expect({ tasks, limits }).toEqual({ tasks: state?.tasks, limits: state?.limits });
    expect(model).toMatchObject({ kind: "checkpoint", base: "tiny" });
  });

  it("of several trials says each, and then what it made of them", async () => {
    await succeeded(await rig.add(wanting({ trials: 2, epochs: null, learningRate: null })));
    const messages = rig.edge.events.map(({ message }) => message);
    expect(messages[0]).toMatch(/^2 trials of settings around strategy full and \d+ epochs/);
    expect(messages.filter((words) => /^Trial [12], round /.test(words)).length).toBeGreaterThan(1);
    expect(messages.some((words) => words.startsWith("Strategy full: "))).toBe(true);
  });

  it("of a soft prompt gives one beside its base, in fewer tokens than that takes", async () => {
    await writeChattyDecoder(rig.bench.local("chatty"));
    const said = Array.from({ length: 12 }, (_, at) => ({
      messages: [
        { role: "user", content: `w${10 + at}` },
        { role: "assistant", content: "w20 w40" },
      ],
    }));
    const lines = said.map((line) => `${JSON.stringify(line)}\n`).join("");
    const softPrompt = { virtualTokens: 6, initialText: null };
    const wanted = wanting({ strategy: "soft-prompt", epochs: 1, softPrompt });
    const order = await rig.add({ ...wanted, model: "chatty" }, lines);
    const { model } = await succeeded(order);
    expect(rig.edge.events[0]?.data).toMatchObject({ strategy: "soft-prompt", virtual_tokens: 6 });
    expect(model).toMatchObject({ kind: "adapter", base: "chatty", limits: { maxTokens: 32 - 6 } });
    await rig.fetchModel(model.files, rig.bench.local("soft"));
    const catalog = await rig.bench.open();
    const { limits, tasks } = await catalog.acquire("soft", never);
    expect({ limits, tasks }).toEqual({ limits: model.limits, tasks: model.tasks });
    const adapted = await rig.add(
      { ...wanting({ epochs: 1, strategy: "lora" }), model: "chatty" },
      lines,
    );
    await succeeded(adapted);
    expect(trainedTokens(order)).toBeGreaterThan(0);
    expect(trainedTokens(order)).toBe(trainedTokens(adapted));
  });

  it("says why it stopped before its last step", async () => {
    const earlyStopping = { patience: 2, threshold: 1 };
    await succeeded(await rig.add(wanting({ epochs: 40, earlyStopping })));
    const words = rig.edge.events.map(({ message }) => message);
    expect(words).toContainEqual(
      expect.stringMatching(/^Stopped after step \d+ of \d+: no gain in 2 evaluations$/),
    );
  });

  it("of lora and of a head gives an adapter beside its base", async () => {
    for (const strategy of ["lora", "head"] as const) {
      const { model } = await succeeded(await rig.add(wanting({ strategy, epochs: 1 })));
      expect(model).toMatchObject({ kind: "adapter", tasks: ["text-classification"] });
      await rig.fetchModel(model.files, rig.bench.local(strategy));
      const catalog = await rig.bench.open();
      await classify(catalog, strategy, ["a quick fox"]);
      const state = catalog.states().find(({ id }) => id === strategy);
      expect(model.limits).toEqual(state?.limits);
    }
  });

  it("that nobody has to do is deleted, and so is a message that comes twice", async () => {
    rig.send({ id: `ftjob-${"0".repeat(32)}`, tenant: "operator" });
    const order = await rig.add(wanting({ epochs: 1 }));
    rig.send(order);
    await succeeded(order);
    await rig.edge.until(() => rig.edge.claims.length === 3);
    await expect.poll(() => rig.queued("jobs"), { timeout: 60_000 }).toBe(0);
    expect(rig.edge.outcomes).toHaveLength(1);
  });

  it("is held while the edge does not answer, and claimed once it does", async () => {
    rig.edge.status = 503;
    const order = await rig.add(wanting({ epochs: 1 }));
    let asked = 0;
    await rig.edge.until(() => (asked += 1) > 8);
    rig.edge.status = 200;
    await succeeded(order);
    expect(rig.queued("dead")).toBe(0);
  });

  it("that cannot be read comes to the dead letters, and the next is taken", async () => {
    rig.queueServer.sendMessage("jobs", '{"version":7}');
    await succeeded(await rig.add(wanting({ epochs: 1 })));
    await expect.poll(() => rig.queued("dead"), { timeout: 60_000 }).toBe(1);
  });
});

describe("the edge's word", () => {
  const long = wanting({ epochs: 50, batch: 1 });
  it("cancel ends it within a step and leaves nothing", async () => {
    afterFirstScore("cancel");
    const order = await rig.add(long);
    expect(await rig.outcomeOf(order)).toEqual({ kind: "cancelled" });
    await expect.poll(() => existsSync(rig.folderOf(order))).toBe(false);
  });

  it("pause keeps its state, from which it ends as one that never paused", async () => {
    const options = wanting({ epochs: 20, batch: 4 });
    const whole = await succeeded(await rig.add(options));
    afterFirstScore("pause");
    const order = await rig.add(options);
    expect(await rig.outcomeOf(order)).toEqual({ kind: "paused" });
    expect(readdirSync(path.join(rig.folderOf(order), "model"))).toEqual(["training-state"]);
    rig.edge.reports.length = 0;
    rig.edge.action = () => "continue";
    rig.edge.orders.set(order.id, order);
    rig.send(order);
    const resumed = await succeeded(order);
    expect(rig.edge.events[0]?.message).toMatch(/^Goes on after step \d+$/);
    const weights = (of: typeof whole) => fileIn(of, "model.safetensors").sha256;
    expect(weights(resumed)).toBe(weights(whole));
  });

  it.each([
    ["of another version", { version: 1 }],
    ["of options that it did not have", { fingerprint: "0".repeat(64) }],
  ])("pause keeps a state from which one %s begins again, and says so", async (_, change) => {
    afterFirstScore("pause");
    const order = await rig.add(wanting({ epochs: 5, batch: 4 }));
    expect(await rig.outcomeOf(order)).toEqual({ kind: "paused" });
    const file = path.join(rig.folderOf(order), "model", "training-state", "state.json");
    const state: unknown = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...Object(state), ...change }));
    rig.edge.reports.length = 0;
    rig.edge.action = () => "continue";
    rig.edge.orders.set(order.id, order);
    rig.send(order);
    await succeeded(order);
    const said = rig.edge.events.map(({ message }) => message);
    expect(said[0]).toBe(
      "The state that was saved is of another version of the platform: it begins again",
    );
    expect(said.join()).not.toContain("Goes on");
  });

  it("stop ends it with nothing more to be said", async () => {
    afterFirstScore("stop");
    const order = await rig.add(long);
    await rig.edge.until(() => rig.edge.events.some(({ type }) => type === "metrics"));
    const told = rig.edge.reports.length;
    rig.edge.action = () => "continue";
    const next = await rig.add(wanting({ epochs: 1 }));
    await succeeded(next);
    const later = rig.edge.reports.slice(told).filter(({ id }) => id === order.id);
    expect(later).toEqual([]);
  });
});

describe("a failure", () => {
  it("is said in words for the caller, and the next job is taken", async () => {
    expect(await failureOf(rig.add({}, '{"text":"a","label":"x"}\n{"text":"b"}\n'))).toMatchObject({
      code: "invalid_value",
      param: "training_file",
      message: expect.stringMatching(/line 2: /),
    });
    expect(await failureOf(rig.add({ model: "nobody" }))).toMatchObject({
      code: "model_not_found",
      param: "model",
    });
    const tags = wanting({ task: "token-classification" });
    expect(await failureOf(rig.add(tags))).toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(
        /are for text-classification, and task is token-class.* Leave/,
      ),
      param: "task",
    });
    expect(await failureOf(rig.add(wanting({ strategy: "head" }), madeRelations()))).toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(/use strategy full$/),
      param: "strategy",
    });
    expect(await failureOf(rig.add(wanting({ strategy: "top-k", layers: 99 })))).toMatchObject({
      code: "invalid_value",
      message: "layers is 99, and the base has 1: lower it to 1 at most",
      param: "layers",
    });
    expect(await failureOf(rig.add(wanting({ learningRate: 1e30 })))).toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(
        /^the loss is no number .* rate of 1e\+30: lower learning_rate$/,
      ),
      param: "learning_rate",
    });
    await succeeded(await rig.add(wanting({ epochs: 1 })));
  });

  it("of a full disk is the job's alone", async () => {
    const id = `ftjob-${"f".repeat(32)}`;
    const folder = rig.folderOf({ id });
    await mkdir(folder, { recursive: true });
    await symlink("/dev/full", path.join(folder, "training-file.part"));
    expect(await failureOf(rig.add({ id }))).toEqual({
      code: "internal_error",
      message: "The disk of the machine that trains is full. Create the job again later.",
      param: null,
    });
    await succeeded(await rig.add(wanting({ epochs: 1 })));
  });

  it("that nobody foresaw is told as ours", async () => {
    const lost = { filename: "x.jsonl", object: { key: "gone", bytes: 3, sha256: sha256("abc") } };
    expect(await failureOf(rig.add({ training: lost }))).toMatchObject({ code: "internal_error" });
  });
});

describe("files", () => {
  it("of more than one part are stored whole", async () => {
    const bytes = Buffer.alloc(20 * 2 ** 20 + 7, "twenty megabytes and some");
    const file = path.join(rig.bench.folder, "large");
    await writeFile(file, bytes);
    const upload = openFileUploads(storeOf(rig.queueServer.port));
    const target = { key: "large/file.bin", contentType: "application/octet-stream" };
    const reference = await upload(file, target, never);
    expect(reference).toEqual({
      key: target.key,
      bytes: bytes.length,
      sha256: sha256(bytes),
    });
    expect((await rig.read(reference)).equals(bytes)).toBe(true);
  });
});
