/** From a decoder's graph to a session that is warmed up: one run at a time, which all threads share. */
import { wholeText } from "../model/decoder-feeds.ts";
import type { LoadedSession, Runtime } from "../runtime/session.ts";
import { DecoderLoraSession } from "./decoder-lora-session.ts";
import { PromptedSession } from "./prompted-session.ts";
import type { SessionOptions } from "./open-session.ts";

/** Of the run that warms a session up. */
const warmUpIds = [0, 0, 0, 0];

/** Keys and values stay with the runtime between steps, which the Node binding has no way for. @throws Error */
export function expectBinding({ name }: Pick<Runtime, "name">): void {
  if (name === "c-api") return;
  throw new Error(
    "decoders need ONNX Runtime's C API, which cannot be used on this machine: its Node binding serves encoders alone",
  );
}

/** Takes a loaded session for what is run; released with it. */
type Wrap<Opened extends LoadedSession> = (session: LoadedSession) => Opened;

/** @throws Error that says what is wrong with the file; the signal's reason */
export function openDecoder(file: string, options: SessionOptions): Promise<PromptedSession> {
  return open(file, options, (session) => new PromptedSession(session));
}

/** A graph that takes adapters of low rank, none there yet. @param config of its checkpoint @throws as `openDecoder` */
export function openLoraDecoder(
  file: string,
  config: unknown,
  options: SessionOptions,
): Promise<DecoderLoraSession> {
  return open(file, options, (session) => new DecoderLoraSession(session, config));
}

/**
 * A graph for steps that are captured (`BuildOptions.steps`), as it is: what is captured is compared where it is used.
 * @throws as `openDecoder`
 */
export function openSteps(
  file: string,
  { runtime, provider, deviceMemoryBytes, signal }: SessionOptions,
): Promise<LoadedSession> {
  expectBinding(runtime);
  const bound = deviceMemoryBytes === null ? {} : { deviceMemoryBytes };
  const loading = { threads: 1, provider, captures: true, signal, ...bound };
  return runtime.load({ path: file }, loading);
}

async function open<Opened extends LoadedSession>(
  file: string,
  { runtime, provider, deviceMemoryBytes, signal }: SessionOptions,
  wrap: Wrap<Opened>,
): Promise<Opened> {
  expectBinding(runtime);
  const bound = deviceMemoryBytes === null ? {} : { deviceMemoryBytes };
  // Of the pool that encoders' runs share, a machine of few cores has no threads left for a run by itself.
  const threads = provider === "cpu" ? runtime.threads : 1;
  const loaded = await runtime.load({ path: file }, { threads, provider, signal, ...bound });
  try {
    const session = wrap(loaded);
    await session.run(wholeText(session, warmUpIds), { outputs: ["logits"], signal });
    return session;
  } catch (error) {
    await loaded.release();
    throw error;
  }
}
