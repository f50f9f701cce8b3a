/**
 * `npm run model -- check-data FILE`: judges training files as a worker does after their upload, without a stack. Tells
 * each bad line and its fix, and what the good examples are like.
 */
import type { DataReport } from "#contract/training/report.ts";
import { judgeData } from "../datasets/judge-data.ts";
import type { TokenRules } from "../datasets/token-counter.ts";
import { readTokenRules } from "../training/token-rules.ts";
import { findBase } from "../catalog/base-model.ts";
import { reportInWords } from "./data-report.ts";
import { openDataSource } from "./data-source.ts";
import { openProgressBar } from "./progress-bar.ts";

export type CheckDataCommand = {
  file: string;
  /** Null: there is none. */
  validation: string | null;
  /** Id or hub name; null: tokens are not counted. */
  model: string | null;
};

type ModelSettings = { modelsFolder: string | null; stateFolder: string };

export type CheckDataTools = {
  /** Asked for where a model is named. @throws ConfigError */
  settings(): ModelSettings;
  signal: AbortSignal;
  /** Of the progress bar. */
  stream: NodeJS.WriteStream;
};

/** A file of less is read before anybody looks at a bar. */
const bytesWithoutBar = 5_000_000;
const megabyte = 1e6;

/** @throws Error that says why a file or the model cannot be read */
export async function runCheckData(
  { file, validation, model }: CheckDataCommand,
  { settings, signal, stream }: CheckDataTools,
): Promise<{ report: DataReport; words: string }> {
  const tokens = model === null ? null : await tokenRulesOf(model, settings());
  const training = await openDataSource(file, signal);
  const second = validation === null ? null : await openDataSource(validation, signal);
  const sizes = [training.size, ...(second === null ? [] : [second.size])];
  const bar = openProgressBar(stream, " MB");
  let shown = -1;
  const onProgress = (bytes: number) => {
    const done = Math.floor(bytes / megabyte);
    if (done === shown || Math.max(...sizes) < bytesWithoutBar) return;
    bar.show("Reading", (shown = done), Math.ceil(Math.max(...sizes) / megabyte));
  };
  try {
    const report = await judgeData(
      { training, validation: second },
      { signal, tokens, onProgress },
    );
    return { report, words: reportInWords(report, { training: file, validation }) };
  } finally {
    bar.stop();
  }
}

/** @throws Error where the model is not known, not here, or no model of its own */
async function tokenRulesOf(id: string, settings: ModelSettings): Promise<TokenRules> {
  const { folder } = await findBase(id, settings);
  return await readTokenRules(id, folder);
}
