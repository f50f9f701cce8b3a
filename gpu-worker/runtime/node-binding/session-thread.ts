/**
 * The thread of one session: onnxruntime-node's own binding, which computes on the thread that calls it.
 * Started by node-binding-runtime.ts; says and hears what thread-messages.ts lists.
 */
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { arrayTypes } from "../../tensor/dtype.ts";
import type { DType } from "../../tensor/dtype.ts";
import { bytesOf, type Tensor, tensorFromBytes } from "../../tensor/tensor.ts";
import { sessionConfig } from "../session-config.ts";
import { RuntimeError } from "../session.ts";
import type { ValueInfo } from "../session.ts";
import { whileBusy } from "./busy-flag.ts";
import type { ThreadAnswer, ThreadRequest, ThreadStart } from "./thread-messages.ts";

const port = parentPort;
if (port === null) throw new Error("session-thread.ts runs as a worker thread alone");

// The binding reads no element of a Float16Array; without the class, it takes float16 as bits, as we keep them.
Reflect.deleteProperty(globalThis, "Float16Array");

function answer(message: ThreadAnswer, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

function fail(error: unknown): void {
  answer({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
}

async function load({ model, options }: ThreadStart): Promise<InferenceSession> {
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: options.threads,
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: sessionConfig(model, options),
  };
  return "path" in model
    ? InferenceSession.create(model.path, settings)
    : InferenceSession.create(model.bytes, settings);
}

function valueInfo(metadata: InferenceSession.ValueMetadata): ValueInfo {
  if (!metadata.isTensor || !isDType(metadata.type)) {
    throw new RuntimeError(`${metadata.name} is no tensor of a type that this worker knows`);
  }
  return { name: metadata.name, dtype: metadata.type, shape: metadata.shape };
}

function isDType(name: string): name is DType {
  return name in arrayTypes;
}

async function run(
  session: InferenceSession,
  { feeds, wanted }: Extract<ThreadRequest, { kind: "run" }>,
): Promise<void> {
  const given = Object.entries(feeds).map(([name, feed]) => [name, toBinding(feed)]);
  const results = await session.run(Object.fromEntries(given), wanted);
  const outputs = wanted.map((name) => [name, fromBinding(results[name])] as const);
  const transfer = outputs.map(([, tensor]) => tensor.data.buffer);
  answer(
    { kind: "ran", outputs: Object.fromEntries(outputs) },
    transfer.filter((buffer) => buffer instanceof ArrayBuffer),
  );
}

function toBinding({ dtype, data, shape }: Tensor): OrtTensor {
  if (dtype === "bfloat16") {
    throw new RuntimeError("the Node binding has no bfloat16");
  }
  return new OrtTensor(dtype, data, shape);
}

function fromBinding(result: OrtTensor | undefined): Tensor {
  if (result === undefined || !isDType(result.type) || !ArrayBuffer.isView(result.data)) {
    throw new RuntimeError("an output is no tensor of a type that this worker knows");
  }
  return tensorFromBytes(result.type, result.dims, bytesOf(result.data));
}

async function obey(session: InferenceSession, request: ThreadRequest): Promise<void> {
  if (request.kind === "run") return run(session, request);
  await session.release();
  port?.close();
}

async function start(given: ThreadStart): Promise<void> {
  const session = await load(given);
  const inputs = session.inputMetadata.map(valueInfo);
  const outputs = session.outputMetadata.map(valueInfo);
  port?.on("message", (request: ThreadRequest) => {
    void whileBusy(given.busy, () => obey(session, request)).catch(fail);
  });
  answer({ kind: "loaded", inputs, outputs });
}

const given: ThreadStart = workerData;
await whileBusy(given.busy, () => start(given)).catch(fail);
