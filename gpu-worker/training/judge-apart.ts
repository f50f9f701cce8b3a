/**
 * Training files judged on a thread of their own, as their bytes come: a large one takes a core for many seconds, and
 * the process that judges it answers others meanwhile.
 */
import type { DataReport } from "#contract/training/report.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { type DataFiles, judgeData } from "../datasets/judge-data.ts";
import { inThread } from "../event-loop/in-thread.ts";
import { lowerThread } from "../event-loop/lower-thread.ts";
import { readTokenRules } from "./token-rules.ts";

type Judging = {
  /** By which tokens are counted, of so many characters. */
  readonly base: { readonly id: string; readonly folder: string };
  readonly charactersMax: number;
};

type Streamed = { readonly name: string | null; readonly bytes: ReadableStream<Uint8Array> };
type StreamedFiles = { readonly training: Streamed; readonly validation: Streamed | null };

/** @param onProgress is told how many bytes of a file have gone by @throws what a source throws; the signal's reason */
export async function judgeApart(
  { training, validation }: DataFiles,
  judging: Judging,
  { onProgress, signal }: { onProgress: (bytes: number) => void; signal: AbortSignal },
): Promise<DataReport> {
  const failures: unknown[] = [];
  const closing: (() => Promise<unknown>)[] = [];
  const streamed = ({ name, bytes }: DataSource): Streamed => {
    const chunks = bytes[Symbol.asyncIterator]();
    closing.push(async () => chunks.return?.());
    async function* passing(): AsyncGenerator<Uint8Array> {
      let gone = 0;
      try {
        for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
          onProgress((gone += next.value.length));
          // What is sent to a thread is copied, and no more than the chunk itself.
          yield Uint8Array.from(next.value);
        }
      } catch (error) {
        failures.push(error);
        throw error;
      }
    }
    return { name, bytes: ReadableStream.from(passing()) };
  };
  const files: StreamedFiles = {
    training: streamed(training),
    validation: validation === null ? null : streamed(validation),
  };
  const transfer = [files.training.bytes, ...(files.validation ? [files.validation.bytes] : [])];
  try {
    return await inThread(import.meta.url, judgeStreams, [files, judging], { signal, transfer });
  } catch (error) {
    // The thread has but a copy of what a source threw.
    const [failure] = failures;
    throw failure ?? error;
  } finally {
    await Promise.allSettled(closing.map((close) => close()));
  }
}

/** On the calling thread, which gives way to all others. */
export async function judgeStreams(
  { training, validation }: StreamedFiles,
  { base, charactersMax }: Judging,
): Promise<DataReport> {
  lowerThread();
  const tokens = { ...(await readTokenRules(base.id, base.folder)), charactersMax };
  const { signal } = new AbortController();
  return await judgeData({ training, validation }, { signal, tokens, onProgress: () => undefined });
}
