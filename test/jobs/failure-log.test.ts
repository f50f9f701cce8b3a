/**
 * What the worker's log says of jobs that failed: a caller's mistake by its code, a failure of ours with where it
 * happened.
 */
import { pino, stdSerializers } from "pino";
import { afterEach, expect, it } from "vitest";
import { CodedError } from "../../contract/errors.ts";
import type { JobMessage } from "../../contract/job-message.ts";
import { Rig, noModels, noopMessage } from "./rig.ts";

let rig: Rig;
afterEach(() => rig.stop());

/** Lines of the log of a worker whose model cannot be had, once it has failed a job. */
async function linesOf(thrown: Error): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const log = pino({ serializers: { error: stdSerializers.errWithCause } }, { write });
  rig = await Rig.start();
  rig.addWorker({ ...noModels, lease: () => Promise.reject(thrown) }, "worker", { log });
  const work = { task: "feature-extraction", model: "m", inputs: ["a text"] };
  rig.send({ ...noopMessage(), ...work } as JobMessage);
  await rig.edge.until(() => rig.edge.terminal.length > 0);
  return lines.filter(({ task }) => task === "feature-extraction");
}

it("tells a caller's mistake by code, message and field, without a stack", async () => {
  const mistake = new CodedError("context_length_exceeded", "It is too long.", {
    param: "inputs[0]",
  });
  const [line] = await linesOf(mistake);
  expect(line).toMatchObject({
    level: pino.levels.values["info"],
    msg: "a job was refused",
    code: "context_length_exceeded",
    message: "It is too long.",
    param: "inputs[0]",
    model: "m",
  });
  expect(JSON.stringify(line)).not.toMatch(/stack|\.ts/);
});

it.each([
  [new TypeError("no such thing"), "error"],
  [new CodedError("model_unavailable", "The disk is full."), "warn"],
])("tells where %s happened", async (thrown, level) => {
  const [line] = await linesOf(thrown);
  expect(line).toMatchObject({
    level: pino.levels.values[level],
    msg: "a job failed",
    error: { message: thrown.message, stack: expect.stringContaining("failure-log.test.ts") },
  });
});
