import { availableParallelism, getPriority, setPriority, tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import LongestFirst from "./test/longest-first.ts";

/** Stand-ins for what the launcher and `npm run deploy` set; tests of the edge read them from `env`. */
const edgeSecrets = {
  AWS_ACCESS_KEY_ID: "test-access",
  AWS_SECRET_ACCESS_KEY: "test-secret",
  S3_ACCESS_KEY_ID: "test-access",
  S3_SECRET_ACCESS_KEY: "test-secret",
  CALLBACK_SECRET: "test-callback-secret",
  OPERATOR_KEY: "test-operator-key",
};

/**
 * Where Node keeps our modules compiled, their types stripped. Tests start hundreds of processes and threads of our
 * own, and each would spend most of a second on that.
 */
const compileCache = {
  NODE_COMPILE_CACHE: path.join(import.meta.dirname, "node_modules/.cache/compiled"),
};

/** What each stack of these tests would otherwise make anew: the edge's bundle, graphs, compiled code, measurements. */
const stackCache = {
  LLM_OS_CACHE: path.join(tmpdir(), `llm-os-e2e-${process.pid}`),
};

/**
 * Training, compiling and judging have the lowest priority there is. Beside a suite of the usual one they would get a
 * hundredth of a core, and what waits for them would wait for most other files to end.
 */
setPriority(Math.max(getPriority(), 15));

/** For what hangs, not for what is slow: a busy machine may be several times slower than a quiet one. */
const timeouts = { testTimeout: 300_000, hookTimeout: 300_000 };

/** One more than there are cores: files that start processes, whole stacks above all, wait for much of their time. */
const maxWorkers = availableParallelism() + 1;

/**
 * Rooms whose tests compute and leave nothing behind in their process, so that a process runs many files: what they
 * import is loaded once. Not among them: what opens a runtime of ours (ONNX Runtime's binding for Node and its C API
 * do not live in one process), counts the process's threads, or puts anything in place of a global.
 */
const shared = [
  "test/{batching,contract,datasets,downloads,evaluation,event-loop,files,fit}/**/*.test.ts",
  "test/grammar/!(yield).test.ts",
  "test/{model,onnx,tensor,telemetry,tokenizer,tool-calls,weights}/**/*.test.ts",
  "test/edge/{answers,fine-tuning,openapi}/**/*.node.test.ts",
  "test/pipelines/!(augmentation|oracle|smollm2|token-ids).test.ts",
  "test/llm/!(captured-steps|decoder.gpu|engine-cases|engine-decoders).test.ts",
  "test/architectures/{bert,half-precision,lora-encoder,losses,training-decoder,training-encoder}.test.ts",
  "test/autodiff/{dropout,gradient,rules}.test.ts",
  "test/catalog/{device-memory,unload-plan}.test.ts",
  "test/compute-form/form-choice.test.ts",
  "test/graphs/{graph-key,measure-costs}.test.ts",
  "test/training/{batches,choose-decoder-plan,choose-plan,learnt-rows,search-plan,start-tensors}.test.ts",
];

/**
 * Likewise with our runtime on the C API, of one thread: the first that opens it in a process says how many. What they
 * import is loaded and the runtime opened once for a process.
 */
const serving = [
  "test/catalog/{adapters,catalog,decoder-adapters,fetched-models,model-failure,ner-en}.test.ts",
  "test/catalog/{tuned-adapters,tuned-models}.test.ts",
  "test/checkpoints/{adapter-folder,onnx-file,peft-adapters,peft-decoders,peft-prompts}.test.ts",
  "test/checkpoints/sentence-folder.test.ts",
  "test/cli/export-model.test.ts",
  "test/compute-form/int8-accuracy.test.ts",
  "test/jobs/{computation-executor,drain,generation,held-messages,token-feed,worker}.test.ts",
  "test/pipelines/{augmentation,token-ids}.test.ts",
  "test/training/{read-words,time-fit,token-rows,tune-similar,tune-texts}.test.ts",
  "test/tuning-jobs/continued.test.ts",
];

/**
 * Tests of the edge run inside workerd, but for `*.node.test.ts`, whose oracles need Node; everything else, the
 * end-to-end tests included, runs in Node.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/closing-line-reporter.ts"],
    // Refusals are what many tests are about.
    onConsoleLog: (line) => !line.includes('"event":"request.refused"'),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: edgeSecrets },
          }),
        ],
        test: {
          name: "edge",
          include: ["test/edge/**/*.test.ts"],
          exclude: ["test/edge/**/*.node.test.ts"],
          // A workerd for all files, the application loaded once; each file begins with nothing stored or kept.
          isolate: false,
          setupFiles: ["test/edge/new-isolate.ts"],
          maxWorkers,
          ...timeouts,
        },
      },
      {
        test: {
          name: "node",
          env: compileCache,
          include: ["test/**/*.test.ts"],
          exclude: ["test/edge/**/!(*.node).test.ts", "test/e2e/**", ...shared, ...serving],
          environment: "node",
          ...timeouts,
          maxWorkers,
        },
      },
      {
        test: {
          name: "node-shared",
          env: compileCache,
          include: shared,
          environment: "node",
          ...timeouts,
          maxWorkers,
          isolate: false,
        },
      },
      {
        test: {
          name: "node-serving",
          env: compileCache,
          include: serving,
          environment: "node",
          ...timeouts,
          maxWorkers,
          isolate: false,
        },
      },
      {
        test: {
          name: "e2e",
          // No test fetches anything. Threads of a run wait for each other, and the cores here have other work too.
          env: { LLM_OS_PREFETCH: "none", LLM_OS_THREADS: "1", ...compileCache, ...stackCache },
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/shared-stacks.ts"],
          environment: "node",
          ...timeouts,
          maxWorkers,
        },
      },
    ],
  },
});
