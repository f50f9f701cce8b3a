/** Models in this process, and requests from many callers through their batches: a worker without queue or HTTP. */
import { availableParallelism } from "node:os";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import type { FormSetting } from "../../gpu-worker/compute-form/form-choice.ts";
import type {
  LoadedDecoder,
  LoadedEncoder,
  LoadedModel,
} from "../../gpu-worker/catalog/loaded-model.ts";
import type { ModelLease } from "../../gpu-worker/model/served-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { encoderFor, type ServedModel } from "../../gpu-worker/model/served-model.ts";
import type { Pipeline, TaskAnswer, TaskRequest } from "../../gpu-worker/pipelines/pipeline.ts";
import { pipelines } from "../../gpu-worker/pipelines/pipelines.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";

export const threads = availableParallelism();

export type ServedOptions = {
  runtime: Runtime;
  stateFolder: string;
  modelsFolder: string | null;
  form: FormSetting;
  /** Default: the worker's. */
  runner?: TaskRunner;
};

export type ServedRequest<T extends Task> = {
  model: string;
  task: T;
  input: TaskInput<T>;
  parameters: TaskParameters<T>;
};

const silent = { info: () => {}, warn: console.warn };
const hub = { endpoint: "https://huggingface.co", token: null };
const steadyMs = () => performance.now();

export class ServedModels {
  readonly #catalog: Catalog;
  readonly #leases = new Map<string, ModelLease>();
  readonly #runner: TaskRunner;

  private constructor(catalog: Catalog, runner: TaskRunner) {
    this.#catalog = catalog;
    this.#runner = runner;
  }

  static async open({ runtime, runner, ...settings }: ServedOptions): Promise<ServedModels> {
    const catalog = await openCatalog(
      { ...settings, hub, device: "cpu" },
      { runtime, log: silent, now: Date.now },
    );
    const ours = runner ?? new TaskRunner({ policy: cpuBatchPolicy, now: steadyMs });
    return new ServedModels(catalog, ours);
  }

  /** Loads a model, which then stays until `close`. */
  async load(id: string, signal: AbortSignal): Promise<LoadedEncoder> {
    return encoderFor("feature-extraction", await this.#lease(id, signal));
  }

  async loadDecoder(id: string, signal: AbortSignal): Promise<LoadedDecoder> {
    const model = await this.#lease(id, signal);
    if (model.kind === "decoder") return model;
    throw new Error(`${id} is no decoder`);
  }

  answer<T extends Task>(request: ServedRequest<T>, signal: AbortSignal): Promise<TaskAnswer<T>> {
    const { model: id, task, input, parameters } = request;
    const model = this.#leases.get(id)?.model;
    if (model === undefined) throw new Error(`${id} is not loaded`);
    return this.answerBy(model, { task, inputs: [input], parameters }, signal);
  }

  /** By a model made of a loaded one, such as a head on its session. */
  answerBy<T extends Task>(
    model: ServedModel,
    request: TaskRequest<T>,
    signal: AbortSignal,
  ): Promise<TaskAnswer<T>> {
    const pipeline: Pipeline<T> = pipelines[request.task];
    if (pipeline.kind === "direct" || pipeline.kind === "file")
      throw new Error(`${request.task} takes no model`);
    return this.#runner.run(pipeline, request, model, { signal });
  }

  async #lease(id: string, signal: AbortSignal): Promise<LoadedModel> {
    const lease = await this.#catalog.lease(id, signal);
    this.#leases.set(id, lease);
    return lease.model;
  }

  async close(): Promise<void> {
    for (const lease of this.#leases.values()) lease.release();
    await this.#catalog.close();
  }
}

export type CallerFigures = {
  perSecond: number;
  /** Milliseconds of each request, in the order given. */
  latenciesMs: number[];
  /** Tokens without padding of each request. */
  tokens: number[];
};

/** Each of `callers` sends its next request when the last is answered. */
export async function sendAll(
  count: number,
  callers: number,
  send: (index: number) => Promise<{ usage: { promptTokens: number } }>,
): Promise<CallerFigures> {
  const latenciesMs: number[] = [];
  const tokens: number[] = [];
  let next = 0;
  const caller = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const sentAt = performance.now();
      const { usage } = await send(index);
      latenciesMs[index] = performance.now() - sentAt;
      tokens[index] = usage.promptTokens;
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  return { perSecond: (count * 1_000) / (performance.now() - startedAt), latenciesMs, tokens };
}
