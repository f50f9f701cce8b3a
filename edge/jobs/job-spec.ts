/** A validated job on its way from a route to its shard: what to compute, and how its result will be shown. */
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { TunedModelSource } from "#contract/training/tuned-model.ts";
import type { Rendering } from "../answers/rendering.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { Webhook } from "../webhooks/webhook.ts";

export type JobSpec = {
  /** Chosen at admission: an open reservation of the same request keeps its id, so that a retry is charged once. */
  id: JobId;
  shard: number;
  tenant: string;
  task: Task;
  model: string;
  /** Id of the model that finds the entities of the inputs; null: none need be found. */
  entityModel: string | null;
  parameters: Record<string, unknown>;
  /** JSON of the list. */
  inputs: string;
  /** Null: neither stored nor joined (`cache-control: no-store`, or a task whose results are not kept). */
  requestKey: string | null;
  rendering: Rendering;
  /** The answer is told while the result is made. */
  stream: boolean;
  /** Promises the edge did not keep to the letter, for `x-warnings`. */
  warnings: string[];
  /** Who is told of the job's progress, from `webhooks/read-webhook.ts`; null: nobody. */
  webhook: Webhook | null;
  /** Where the files of a caller's own model are. Absent: workers know the model. */
  tuned?: TunedModelSource;
  kept?: Kept;
};

/** The record of an answer that its caller may come back for by an id of its own, whichever job makes it. */
export type Kept = {
  /** 32 hex digits, of the job's id too. */
  hex: string;
  /** The job goes on without its caller. Else it is given up with the call. */
  background: boolean;
  /**
   * A job of this id makes it: before its caller is told anything of it. May be told again, of another id.
   */
  begin: (job: JobId) => Promise<void>;
  /** There is a result, and no job was kept. */
  know: (result: StoredResult) => Promise<void>;
  /** The call is answered by an error. */
  forget: () => Promise<void>;
};
