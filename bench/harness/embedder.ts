/** A model in this process, and texts from many callers through its batches: the worker without queue and HTTP. */
import { availableParallelism } from "node:os";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import type { BatchStats } from "../../gpu-worker/batching/batch-queue.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import type { ComputeForm } from "../../gpu-worker/architectures/encoder-head.ts";
import type { LoadedModel } from "../../gpu-worker/catalog/loaded-model.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";

export const threads = availableParallelism();

export type EmbedderOptions = {
  runtime: Runtime;
  stateFolder: string;
  modelsFolder: string;
  form: ComputeForm;
  model: string;
};

export type EmbedFigures = {
  textsPerSecond: number;
  /** Tokens without padding, per text. */
  lengths: number[];
  /** Share of the computed tokens that are no padding. */
  paddingEfficiency: number;
  first: Float32Array;
};

const silent = { info: () => {}, warn: console.warn };

export class Embedder {
  readonly #catalog: Catalog;
  readonly #model: LoadedModel;

  private constructor(catalog: Catalog, model: LoadedModel) {
    this.#catalog = catalog;
    this.#model = model;
  }

  static async open(options: EmbedderOptions, signal: AbortSignal): Promise<Embedder> {
    const { runtime, stateFolder, modelsFolder, form } = options;
    const hub = { endpoint: "https://huggingface.co", token: null };
    const catalog = await openCatalog(
      { stateFolder, modelsFolder, hub, form, device: "cpu" },
      { runtime, log: silent, now: Date.now },
    );
    return new Embedder(catalog, await catalog.acquire(options.model, signal));
  }

  /** Each of `callers` sends its next text when it has the last one's vector. */
  async embed(
    texts: readonly string[],
    callers: number,
    signal: AbortSignal,
  ): Promise<EmbedFigures> {
    const batches: BatchStats[] = [];
    const runner = new TaskRunner({
      policy: cpuBatchPolicy,
      now: () => performance.now(),
      onBatch: (stats) => batches.push(stats),
    });
    const lengths: number[] = [];
    const outputs: string[] = [];
    let next = 0;
    const caller = async () => {
      while (next < texts.length) {
        const i = next;
        next += 1;
        const request = {
          task: "feature-extraction" as const,
          inputs: [texts[i] ?? ""],
          parameters: { truncate: true },
        };
        const answer = await runner.run(featureExtraction, request, this.#model, { signal });
        lengths[i] = answer.usage.promptTokens;
        const [output] = answer.outputs;
        outputs[i] = typeof output === "string" ? output : "";
      }
    };
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: callers }, caller));
    const seconds = (performance.now() - startedAt) / 1_000;
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens, 0);
    const padded = batches.reduce((sum, batch) => sum + batch.tokensPadded, 0);
    return {
      textsPerSecond: texts.length / seconds,
      lengths,
      paddingEfficiency: tokens / padded,
      first: new Float32Array(Uint8Array.from(Buffer.from(outputs[0] ?? "", "base64")).buffer),
    };
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }
}
