/**
 * The worker's environment, read and checked once. Every refusal names the variable, what is wrong with it and what to
 * set instead. An empty variable counts as unset. Nothing else in gpu-worker/ looks at process.env.
 */
import { statSync } from "node:fs";
import path from "node:path";
import * as z from "zod";

const address = z.url({ protocol: /^https?$/, hostname: /./ });
const text = z.string().min(1);
const wholeNumber = z.string().regex(/^\d+$/).transform(Number);

/** Whether it is a folder or could be made: the nearest part of its path that exists is a folder. */
function canBeFolder(name: string): boolean {
  for (let at = path.resolve(name); ; at = path.dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found !== undefined) return found.isDirectory();
  }
}

/** The description of a variable is its fix: it is printed where the value is refused. */
const Environment = z.object({
  LLM_OS_EDGE_URL: address.describe("Set it to the edge's address, such as http://127.0.0.1:8787."),
  LLM_OS_CALLBACK_SECRET: text.describe("Set it to the edge's CALLBACK_SECRET."),
  SQS_QUEUE_URL: address.describe("Set it to the URL of the job queue."),
  SQS_DEAD_LETTER_URL: address
    .optional()
    .describe("Set it to the URL of the job queue's dead-letter queue, or leave its messages be."),
  SQS_ENDPOINT: address
    .optional()
    .describe("Leave it unset for AWS, or set it to the address of another SQS server."),
  SQS_WAIT_SECONDS: wholeNumber
    .pipe(z.int().min(0).max(20))
    .default(20)
    .describe("Set it to the length of a long poll, 0 to 20 seconds."),
  AWS_REGION: text.default("us-east-1").describe("Set it to the queue's region."),
  AWS_ACCESS_KEY_ID: text
    .optional()
    .describe("Set it together with AWS_SECRET_ACCESS_KEY, or neither to use the machine's role."),
  AWS_SECRET_ACCESS_KEY: text
    .optional()
    .describe("Set it together with AWS_ACCESS_KEY_ID, or neither to use the machine's role."),
  S3_ENDPOINT: address.describe("Set it to the address of the object store."),
  S3_BUCKET: text.describe("Set it to the bucket that large inputs and results travel through."),
  S3_REGION: text.default("auto").describe("Set it to the bucket's region; R2's is auto."),
  S3_ACCESS_KEY_ID: text.describe("Set it to a key that may read and write the bucket."),
  S3_SECRET_ACCESS_KEY: text.describe("Set it to the secret of S3_ACCESS_KEY_ID."),
  LLM_OS_STATE: text
    .refine(canBeFolder)
    .default(".llm-os")
    .describe("Set it, or --state, to a folder for models and caches: no file, and under none."),
  LLM_OS_CACHE: text
    .refine(canBeFolder)
    .optional()
    .describe(
      "Set it to a folder for compiled graphs and measurements, or leave it to be LLM_OS_STATE.",
    ),
  LLM_OS_MODELS: text.optional().describe("Set it to a folder whose subfolders are models."),
  LLM_OS_PREFETCH: text
    .default("none")
    .describe(
      "Set it to the id of a model of the catalogue to fetch in the background, or to none.",
    ),
  LLM_OS_CONTEXT_TOKENS: wholeNumber
    .pipe(z.int().min(256))
    .optional()
    .describe(
      "Set it to the most tokens of a text that a model writes, its prompt included: 256 or more.",
    ),
  HF_ENDPOINT: address
    .default("https://huggingface.co")
    .describe("Set it to the address of the Hugging Face hub or of a mirror."),
  HF_TOKEN: text.optional().describe("Set it to an access token of the hub."),
  LLM_OS_FORM: z
    .enum(["auto", "f32", "f16", "int8", "int8-rotated", "int4"])
    .default("auto")
    .describe("Set it to auto, f32, f16 (on a GPU), int8, int8-rotated or int4 (on the CPU)."),
  LLM_OS_KV_CACHE: z
    .enum(["float", "int8"])
    .default("float")
    .describe("Set it to float, or on the CPU to int8."),
  LLM_OS_DEVICE: z
    .enum(["auto", "cpu", "cuda"])
    .default("auto")
    .describe("Set it to auto, cpu or cuda."),
  LLM_OS_CUDA: text
    .optional()
    .describe("Set it to the folder of the CUDA provider, or leave it to be cuda in LLM_OS_STATE."),
  LLM_OS_THREADS: wholeNumber
    .pipe(z.int().min(1).max(1_024))
    .optional()
    .describe("Set it to the number of compute threads, 1 or more, or leave it to the worker."),
  LLM_OS_MODEL_MEMORY_MIB: wholeNumber
    .pipe(z.int().min(64))
    .optional()
    .describe(
      "Set it to the MiB that loaded models may take together (of a GPU's memory where one computes), " +
        "64 or more, or leave it to the worker.",
    ),
  LLM_OS_TUNED_MIB: wholeNumber
    .pipe(z.int().min(64))
    .default(10_240)
    .describe(
      "Set it to the MiB of disk that callers' tuned models may take in LLM_OS_STATE, 64 or more.",
    ),
  UV_THREADPOOL_SIZE: wholeNumber
    .pipe(z.int().min(1).max(1_024))
    .default(4)
    .describe("Set it to the number of threads that may wait for a model or a disk, 4 or more."),
  LLM_OS_DRAIN_SECONDS: wholeNumber
    .pipe(z.int().min(0).max(3_600))
    .default(8)
    .describe(
      "Set it to the seconds that work in flight may take to finish after SIGTERM, " +
        "some less than the process is given before it is killed.",
    ),
  LLM_OS_WORKER_ID: z
    .string()
    .regex(/^[\w.-]{1,100}$/)
    .optional()
    .describe("Set it to at most 100 letters, digits, dots, hyphens and underscores."),
  LLM_OS_HEALTH_HOST: text
    .default("127.0.0.1")
    .describe("Set it to the address to listen on, 0.0.0.0 for all."),
  LLM_OS_HEALTH_PORT: wholeNumber
    .pipe(z.int().min(0).max(65_535))
    .default(0)
    .describe("Set it to a port number, or to 0 for any free port."),
  LLM_OS_LOG_LEVEL: z
    .enum(["silent", "fatal", "error", "warn", "info", "debug", "trace"])
    .default("info")
    .describe("Set it to silent, fatal, error, warn, info, debug or trace."),
});
type Environment = z.infer<typeof Environment>;

/** Those of the process that trains: another queue, and nothing to watch. */
const TrainingEnvironment = Environment.omit({
  SQS_QUEUE_URL: true,
  SQS_DEAD_LETTER_URL: true,
  LLM_OS_PREFETCH: true,
  LLM_OS_HEALTH_HOST: true,
  LLM_OS_HEALTH_PORT: true,
}).extend({
  SQS_TRAINING_QUEUE_URL: address.describe("Set it to the URL of the queue of tuning jobs."),
  ECS_AGENT_URI: address.optional().describe("Leave it to ECS, which sets it in its tasks."),
  LLM_OS_TRAINING_SAVE_SECONDS: wholeNumber
    .pipe(z.int().max(3_600))
    .default(60)
    .describe("Set it to the seconds between two saved states of a training, 0 to 3600."),
});
type TrainingEnvironment = z.infer<typeof TrainingEnvironment>;

/** The variables that say where models are and how they are computed: all that the model commands need. */
const ModelEnvironment = Environment.pick({
  LLM_OS_STATE: true,
  LLM_OS_CACHE: true,
  LLM_OS_MODELS: true,
  LLM_OS_PREFETCH: true,
  LLM_OS_CONTEXT_TOKENS: true,
  HF_ENDPOINT: true,
  HF_TOKEN: true,
  LLM_OS_FORM: true,
  LLM_OS_KV_CACHE: true,
  LLM_OS_DEVICE: true,
  LLM_OS_CUDA: true,
  LLM_OS_THREADS: true,
  LLM_OS_MODEL_MEMORY_MIB: true,
  LLM_OS_TUNED_MIB: true,
  UV_THREADPOOL_SIZE: true,
});
type ModelEnvironment = z.infer<typeof ModelEnvironment>;

export type WorkerConfig = {
  workerId: string;
  /** From the signal to end until what is not finished is handed back. */
  drainSeconds: number;
  health: { host: string; port: number };
  logLevel: Environment["LLM_OS_LOG_LEVEL"];
  edge: { url: string; callbackSecret: string };
  queue: {
    url: string;
    /** Null: not read. */
    deadLetterUrl: string | null;
    endpoint: string | null;
    region: string;
    waitSeconds: number;
    /** Null: the machine's role. */
    credentials: { accessKeyId: string; secretAccessKey: string } | null;
  };
  objectStore: {
    endpoint: string;
    bucket: string;
    region: string;
    accessKeyId: string;
    secretAccessKey: string;
  };
  models: {
    stateFolder: string;
    /** Of what can be made again. */
    cacheFolder: string;
    modelsFolder: string | null;
    hub: { endpoint: string; token: string | null };
    form: Environment["LLM_OS_FORM"];
    /** Of decoders. */
    kvCache: Environment["LLM_OS_KV_CACHE"];
    device: Environment["LLM_OS_DEVICE"];
    /** Where the CUDA provider lies, or is to lie. */
    cudaFolder: string;
    /** Null: the runtime's own choice. */
    threads: number | null;
    /** Bytes of all loaded models together; null: the catalog's own choice. */
    memory: number | null;
    /** Bytes of disk that callers' tuned models may take. */
    tunedBytes: number;
    /** Of a decoder's prompt and answer together, at most; null: the catalog's own choice. */
    contextTokens: number | null;
    /** Id of a model that is fetched before anybody asks for it; null: none. */
    prefetch: string | null;
    /** libuv's, on which models run. */
    poolThreads: number;
  };
};

export type TrainingConfig = Omit<WorkerConfig, "health" | "queue"> & {
  queue: Omit<WorkerConfig["queue"], "deadLetterUrl">;
  saveSeconds: number;
  /** Null: it is no ECS task. */
  ecsAgentUrl: string | null;
};

/** The environment cannot be used. The message lists every variable at fault with its fix. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** @param fallbackWorkerId names this worker where LLM_OS_WORKER_ID is unset */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  fallbackWorkerId: string,
): WorkerConfig {
  const env = parse(Environment, environment, "The worker cannot start");
  return {
    ...arrangeProcess(env, fallbackWorkerId),
    health: { host: env.LLM_OS_HEALTH_HOST, port: env.LLM_OS_HEALTH_PORT },
    queue: {
      ...arrangeQueue(env, env.SQS_QUEUE_URL),
      deadLetterUrl: env.SQS_DEAD_LETTER_URL ?? null,
    },
  };
}

/** @param fallbackWorkerId as of `readConfig` */
export function readTrainingConfig(
  environment: Readonly<Record<string, string | undefined>>,
  fallbackWorkerId: string,
): TrainingConfig {
  const env = parse(TrainingEnvironment, environment, "The training process cannot start");
  return {
    ...arrangeProcess({ ...env, LLM_OS_PREFETCH: "none" }, fallbackWorkerId),
    queue: arrangeQueue(env, env.SQS_TRAINING_QUEUE_URL),
    saveSeconds: env.LLM_OS_TRAINING_SAVE_SECONDS,
    ecsAgentUrl: env.ECS_AGENT_URI ?? null,
  };
}

/** The part of the environment that concerns models, for commands that need no edge and no queue. */
export function readModelConfig(
  environment: Readonly<Record<string, string | undefined>>,
): WorkerConfig["models"] {
  return arrangeModels(parse(ModelEnvironment, environment, "The command cannot run"));
}

type Schema<Shape extends z.ZodRawShape> = z.ZodObject<Shape>;

function parse<Shape extends z.ZodRawShape>(
  schema: Schema<Shape>,
  environment: Readonly<Record<string, string | undefined>>,
  consequence: string,
): z.infer<Schema<Shape>> {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(set);
  if (!parsed.success)
    throw new ConfigError(`${consequence}:\n${explain(schema, parsed.error, set)}`);
  return parsed.data;
}

function explain(
  schema: Schema<z.ZodRawShape>,
  error: z.ZodError,
  set: Record<string, string | undefined>,
): string {
  const names = new Set(error.issues.map((issue) => String(issue.path[0])));
  const lines = [...names].map((name) => {
    const fix = z.globalRegistry.get(schema.shape[name] ?? z.never())?.description;
    return `${name} ${set[name] === undefined ? "is not set" : "has a value that cannot be used"}. ${fix ?? ""}`;
  });
  return lines.map((line) => `  ${line}`).join("\n");
}

type QueueEnvironment = Pick<
  Environment,
  "SQS_ENDPOINT" | "SQS_WAIT_SECONDS" | "AWS_REGION" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY"
>;

function credentialsOf(env: QueueEnvironment): WorkerConfig["queue"]["credentials"] {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { accessKeyId, secretAccessKey };
  }
  if (accessKeyId === undefined && secretAccessKey === undefined) return null;
  throw new ConfigError(
    "The worker cannot start:\n  AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together. " +
      "Set both, or neither to use the machine's role.",
  );
}

function arrangeQueue(env: QueueEnvironment, url: string): TrainingConfig["queue"] {
  return {
    url,
    endpoint: env.SQS_ENDPOINT ?? null,
    region: env.AWS_REGION,
    waitSeconds: env.SQS_WAIT_SECONDS,
    credentials: credentialsOf(env),
  };
}

type ProcessEnvironment = Omit<
  TrainingEnvironment,
  "SQS_TRAINING_QUEUE_URL" | "LLM_OS_TRAINING_SAVE_SECONDS" | "ECS_AGENT_URI"
> &
  Pick<Environment, "LLM_OS_PREFETCH">;

function arrangeProcess(
  env: ProcessEnvironment,
  fallbackWorkerId: string,
): Omit<WorkerConfig, "health" | "queue"> {
  return {
    workerId: env.LLM_OS_WORKER_ID ?? fallbackWorkerId,
    drainSeconds: env.LLM_OS_DRAIN_SECONDS,
    logLevel: env.LLM_OS_LOG_LEVEL,
    edge: { url: env.LLM_OS_EDGE_URL, callbackSecret: env.LLM_OS_CALLBACK_SECRET },
    objectStore: {
      endpoint: env.S3_ENDPOINT,
      bucket: env.S3_BUCKET,
      region: env.S3_REGION,
      accessKeyId: env.S3_ACCESS_KEY_ID,
      secretAccessKey: env.S3_SECRET_ACCESS_KEY,
    },
    models: arrangeModels(env),
  };
}

function arrangeModels(env: ModelEnvironment): WorkerConfig["models"] {
  return {
    stateFolder: env.LLM_OS_STATE,
    cacheFolder: env.LLM_OS_CACHE ?? env.LLM_OS_STATE,
    modelsFolder: env.LLM_OS_MODELS ?? null,
    hub: { endpoint: env.HF_ENDPOINT, token: env.HF_TOKEN ?? null },
    form: env.LLM_OS_FORM,
    kvCache: env.LLM_OS_KV_CACHE,
    device: env.LLM_OS_DEVICE,
    cudaFolder: env.LLM_OS_CUDA ?? path.join(env.LLM_OS_STATE, "cuda"),
    threads: env.LLM_OS_THREADS ?? null,
    memory:
      env.LLM_OS_MODEL_MEMORY_MIB === undefined ? null : env.LLM_OS_MODEL_MEMORY_MIB * 2 ** 20,
    tunedBytes: env.LLM_OS_TUNED_MIB * 2 ** 20,
    contextTokens: env.LLM_OS_CONTEXT_TOKENS ?? null,
    prefetch: env.LLM_OS_PREFETCH === "none" ? null : env.LLM_OS_PREFETCH,
    poolThreads: env.UV_THREADPOOL_SIZE,
  };
}
