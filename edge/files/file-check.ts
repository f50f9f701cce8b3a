/**
 * Has a worker read the whole of each file, as a job of its own: the verdict becomes the file's status, and the report
 * lies beside it. The job is found again by the file's row, whatever becomes of this object meanwhile; where the job is
 * not to be had any more, another is begun.
 */
import { errorTable } from "#contract/errors.ts";
import { type JobId, shardOfJobId } from "#contract/job-id.ts";
import { wordsOfProblem } from "#contract/training/problems.ts";
import { FileReport } from "#contract/training/report.ts";
import { newJobAddress } from "../accounts/admission.ts";
import type { Job } from "../answers/job.ts";
import { openResult } from "../answers/read-result.ts";
import { type Env, settingsOf } from "../environment.ts";
import { putObject } from "../storage/object-store.ts";
import { deleteObject } from "../storage/object-writer.ts";
import { queueText } from "../jobs/queue-text.ts";
import type { JobSpec } from "../jobs/job-spec.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import type { FileRows, FileVerdict } from "./file-rows.ts";
import { keyOfFile, keyOfReport, type StoredFile } from "./stored-file.ts";

const task = "file-check";

/** A file that took so many workers with it is not given to another. */
const triesMax = 3;
const lost: FileVerdict = {
  status: "error",
  statusDetails: `It could not be checked: ${triesMax} tries came to nothing. Upload it again.`,
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

  async #begin(tenant: string, file: StoredFile): Promise<void> {
    const settings = settingsOf(this.#env);
    const { id, shard } = newJobAddress(null, settings.shards);
    const createdAt = Date.now();
    const { bytes, sha256, filename } = file;
    const reference = { key: keyOfFile(file.id), bytes, sha256 };
    const spec: JobSpec = {
      id,
      shard,
      tenant,
      task,
      model: task,
      entityModel: null,
      parameters: {},
      inputs: JSON.stringify([{ filename, reference }]),
      requestKey: null,
      rendering: { route: "tasks" },
      stream: false,
      warnings: [],
      webhook: null,
    };
    this.#rows.keepCheck(file.id, id);
    const { model, requestKey, rendering, warnings } = spec;
    await shardStub(this.#env, shard).run({
      job: { id, tenant, task, model, requestKey, createdAt, rendering, warnings },
      ...(await queueText(spec, settings, createdAt)),
      keep: "from-start",
      wait: null,
      webhook: null,
    });
  }

  async #settle(tenant: string, id: string): Promise<void> {
    const waiting = this.#rows.waiting(id);
    if (waiting === null) return;
    const { file, job: jobId, tries } = waiting;
    const job = jobId === null ? null : await this.#find(jobId, tenant);
    if (job !== null && job.finishedAt === null) return;
    const verdict = job === null ? null : await this.#verdict(id, job);
    if (verdict === null && tries < triesMax) return this.#begin(tenant, file);
    const kept = this.#rows.keepVerdict(id, verdict ?? lost);
    // It was deleted meanwhile.
    if (!kept && verdict?.report != null)
      await deleteObject(settingsOf(this.#env), keyOfReport(id));
  }

  #find(id: JobId, tenant: string): Promise<Job | null> {
    return shardStub(this.#env, shardOfJobId(id) ?? 0).find(id, tenant);
  }

  /** @returns null where another try may tell */
  async #verdict(id: string, { error, result }: Job): Promise<FileVerdict | null> {
    if (error !== null) {
      return errorTable[error.code].retry
        ? null
        : { status: "error", statusDetails: error.message, report: null };
    }
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
