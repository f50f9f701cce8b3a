/**
 * Has a worker read the whole of each file, as a job of its own: the verdict becomes the file's status, and the report
 * lies beside it.
 */
import type { JobId } from "#contract/job-id.ts";
import { wordsOfProblem } from "#contract/training/problems.ts";
import { FileReport } from "#contract/training/report.ts";
import type { Job } from "../answers/job.ts";
import { openResult } from "../answers/read-result.ts";
import { type Env, settingsOf } from "../environment.ts";
import { internalTriesMax, settleInternalJob } from "../jobs/internal-job.ts";
import { putObject } from "../storage/object-store.ts";
import { deleteObject } from "../storage/object-writer.ts";
import type { FileRows, FileVerdict } from "./file-rows.ts";
import { keyOfReport, type StoredFile } from "./stored-file.ts";

const task = "file-check";

const lost: FileVerdict = {
  status: "error",
  statusDetails: `It could not be checked: ${internalTriesMax} tries came to nothing. Upload it again.`,
  report: null,
};

export class FileCheck {
  readonly #rows: FileRows;
  readonly #env: Env;
  /** By file. */
  readonly #settling = new Map<string, Promise<void>>();

  constructor(rows: FileRows, env: Env) {
    this.#rows = rows;
    this.#env = env;
  }

  /** Begins the check of a file, or looks for the verdict on it. One that is settled already stays as it is. */
  async settle(tenant: string, id: string): Promise<void> {
    const settling =
      this.#settling.get(id) ?? this.#settle(tenant, id).finally(() => this.#settling.delete(id));
    this.#settling.set(id, settling);
    await settling;
  }

  async #settle(tenant: string, id: string): Promise<void> {
    const waiting = this.#rows.waiting(id);
    if (waiting === null) return;
    const { file, ...begun } = waiting;
    const verdict = await this.#verdict(tenant, file, begun);
    if (verdict === null) return;
    const kept = this.#rows.keepVerdict(id, verdict);
    // It was deleted meanwhile.
    if (!kept && verdict.report !== null)
      await deleteObject(settingsOf(this.#env), keyOfReport(id));
  }

  /** @returns null while it is checked */
  async #verdict(
    tenant: string,
    { id, key, filename, bytes, sha256 }: StoredFile,
    begun: { job: JobId | null; tries: number },
  ): Promise<FileVerdict | null> {
    let verdict: FileVerdict | null = null;
    const outcome = await settleInternalJob(
      this.#env,
      {
        tenant,
        task,
        model: task,
        inputs: JSON.stringify([{ filename, reference: { key, bytes, sha256 } }]),
        begun,
        keep: (job) => this.#rows.keepCheck(id, job),
      },
      async (job) => {
        verdict = await this.#read(id, job);
        return verdict !== null;
      },
    );
    if (outcome.kind === "failed")
      return { status: "error", statusDetails: outcome.error.message, report: null };
    return outcome.kind === "lost" ? lost : verdict;
  }

  /** @returns null where the result is gone */
  async #read(id: string, { result }: Job): Promise<FileVerdict | null> {
    const settings = settingsOf(this.#env);
    const opened = result === null ? null : await openResult(result, settings);
    if (opened === null) return null;
    let text = "";
    for await (const line of opened.lines()) text ||= line;
    const verdict = verdictOf(FileReport.parse(JSON.parse(text)));
    const bytes = new TextEncoder().encode(text);
    const contentType = "application/json";
    const report = await putObject(settings, { key: keyOfReport(id), contentType, bytes });
    return { ...verdict, report };
  }
}

/** Any bad example makes a file one that cannot be used as it is. */
function verdictOf({
  examples,
  bad_examples: bad,
  problems,
}: FileReport): Pick<StoredFile, "status" | "statusDetails"> {
  const [first] = problems;
  if (first === undefined) return { status: "processed", statusDetails: null };
  const words = wordsOfProblem(first);
  const statusDetails =
    bad === 0 ? words : `${bad} of ${examples + bad} examples cannot be used; the first: ${words}`;
  return { status: "error", statusDetails };
}
