/** The process that trains: its settings, its end in order, and SIGKILL in mid-training. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { labelled, TuningRig, usualOptions } from "./tuning-rig.ts";

let rig: TuningRig;

beforeEach(async () => {
  rig = await TuningRig.open();
});
afterEach(() => rig.close());

const options = { ...usualOptions, epochs: 8, batch: 4 };
const data = labelled(120);

const succeeded = () => rig.edge.outcomes.filter((outcome) => outcome.kind === "succeeded");
const isSave = ({ message }: { message: string }) => message.startsWith("State saved");

function weights(): string | undefined {
  const files = succeeded()[0]?.model.files;
  return files?.find((file) => file.path === "model.safetensors")?.object.sha256;
}

it("refuses to start without its settings, naming them", async () => {
  const script = path.resolve(import.meta.dirname, "../../gpu-worker/train.ts");
  const child = fork(script, { env: { PATH: process.env["PATH"] ?? "" }, silent: true });
  let output = "";
  child.stderr?.on("data", (text) => (output += text));
  const [code] = await once(child, "exit");
  expect(code).toBe(1);
  expect(output).toMatch(/SQS_TRAINING_QUEUE_URL is not set\. Set it to the URL/);
});

it("killed in mid-training, a job goes on in the next process and ends the same to the bit", async () => {
  await rig.work();
  await rig.add({ options }, data);
  await rig.edge.until(() => succeeded().length === 1);
  const unbroken = weights();
  await rig.stopWorking();
  const order = await rig.add({ options }, data);
  const first = rig.spawn();
  rig.edge.action = ({ events }) => {
    if (events.some(isSave)) first.kill("SIGKILL");
    return "continue";
  };
  await once(first, "exit");
  expect(existsSync(path.join(rig.folderOf(order), "model", "training-state"))).toBe(true);
  // The edge hears nothing any more, and sends the message again.
  rig.edge.forget();
  rig.send(order);
  rig.spawn(3_600);
  await rig.edge.until(() => rig.edge.events.length > 0);
  expect(rig.edge.events[0]?.message).toMatch(/^Goes on after step \d+$/);
  await rig.edge.until(() => succeeded().length === 1);
  expect(unbroken).toBeDefined();
  expect(weights()).toBe(unbroken);
  // What trains gives way to all other tests.
});

it("hands back what it is at on SIGTERM, with its state, at the lowest priority meanwhile", async () => {
  const order = await rig.add({ options: { ...options, epochs: 50, batch: 1 } }, data);
  const child = rig.spawn(3_600);
  await rig.edge.until(() => rig.edge.events.some(({ type }) => type === "metrics"));
  if (process.platform === "linux") expect(nices(child.pid ?? 0)).toEqual(new Set([19]));
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
  expect(rig.edge.outcomes).toEqual([{ kind: "released" }]);
  expect(existsSync(path.join(rig.folderOf(order), "model", "training-state", "state.json"))).toBe(
    true,
  );
});

/** Of each of its threads. */
function nices(pid: number): Set<number> {
  const threads = readdirSync(`/proc/${pid}/task`);
  const stats = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8"));
  // The 19th field, counted behind the name, which is the second.
  return new Set(stats.map((stat) => Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16])));
}
