/**
 * What the Worker is given: bindings, variables of wrangler.toml and secrets. The variables are strings; `settingsOf`
 * parses them once per isolate, and everything past it reads typed values with units in their names.
 */
import * as z from "zod";
import { queueNames } from "#contract/queue.ts";

/**
 * Bindings, and the unparsed variables and secrets beside them. The binding of a Durable Object is declared by the file
 * of its class, which adds it to this interface: nothing here depends on a room.
 */
export interface Env {
  /** Results by `<requestKey>:<modelDigest>`. */
  readonly CACHE: KVNamespace;
  /** The files that /docs loads. */
  readonly ASSETS: Fetcher;
  /** The guarded second worker of a local stack; webhooks go out through it where it is bound. */
  readonly EGRESS?: Fetcher;
  readonly SQS_ENDPOINT: string;
  readonly SQS_QUEUE_URL: string;
  readonly SQS_TRAINING_QUEUE_URL: string;
  readonly S3_ENDPOINT: string;
  readonly S3_BUCKET: string;
  readonly S3_REGION: string;
  readonly AWS_REGION: string;
  readonly SHARDS: string;
  readonly FREE_REQUESTS_PER_MINUTE: string;
  readonly FREE_UNITS_PER_DAY: string;
  readonly FREE_OPEN_REQUESTS: string;
  readonly TRAINING_SECONDS_PER_DAY: string;
  readonly PROMPT_MODEL: string;
  readonly FREE_REFUSALS_PER_MINUTE: string;
  readonly BODY_BYTES_MAX: string;
  readonly SYNC_WINDOW_SECONDS: string;
  readonly SILENT_WORK_SECONDS: string;
  readonly WEBHOOK_RETRY_SECONDS: string;
  readonly WEBHOOK_ALLOW: string;
  readonly LOG_SUCCESS_SHARE: string;
  readonly LOCAL_STACK: string;
  readonly AWS_ACCESS_KEY_ID: string;
  readonly AWS_SECRET_ACCESS_KEY: string;
  readonly S3_ACCESS_KEY_ID: string;
  readonly S3_SECRET_ACCESS_KEY: string;
  readonly CALLBACK_SECRET: string;
  readonly CALLBACK_SECRET_PREVIOUS?: string;
  readonly OPERATOR_KEY?: string;
}

const count = z.coerce.number().int().positive();
const secret = z.string().min(1);

const Settings = z
  .object({
    SQS_ENDPOINT: z.url(),
    SQS_QUEUE_URL: z.url(),
    SQS_TRAINING_QUEUE_URL: z.string().default(""),
    S3_ENDPOINT: z.url(),
    S3_BUCKET: z.string().min(1),
    S3_REGION: z.string().min(1).default("auto"),
    AWS_REGION: z.string().min(1),
    SHARDS: count.max(10_000),
    FREE_REQUESTS_PER_MINUTE: count,
    FREE_UNITS_PER_DAY: count,
    FREE_OPEN_REQUESTS: count,
    FREE_REFUSALS_PER_MINUTE: count,
    TRAINING_SECONDS_PER_DAY: count.default(14_400),
    PROMPT_MODEL: z.string().min(1).max(200).default("SmolLM2-135M-Instruct"),
    BODY_BYTES_MAX: count,
    SYNC_WINDOW_SECONDS: z.coerce.number().positive(),
    SILENT_WORK_SECONDS: z.coerce.number().positive().default(180),
    WEBHOOK_RETRY_SECONDS: z
      .string()
      .transform(listOf)
      .pipe(z.array(z.coerce.number<string>().min(0))),
    WEBHOOK_ALLOW: z.string().default("").transform(listOf),
    LOG_SUCCESS_SHARE: z.coerce.number().min(0).max(1).default(0.01),
    LOCAL_STACK: z.string().default(""),
    AWS_ACCESS_KEY_ID: secret,
    AWS_SECRET_ACCESS_KEY: secret,
    S3_ACCESS_KEY_ID: secret,
    S3_SECRET_ACCESS_KEY: secret,
    CALLBACK_SECRET: secret,
    CALLBACK_SECRET_PREVIOUS: z.string().default(""),
    OPERATOR_KEY: z.string().default(""),
  })
  .transform((vars) => ({
    sqs: { endpoint: vars.SQS_ENDPOINT, queueUrl: vars.SQS_QUEUE_URL },
    s3: { endpoint: vars.S3_ENDPOINT, bucket: vars.S3_BUCKET, region: vars.S3_REGION },
    trainingQueueUrl: vars.SQS_TRAINING_QUEUE_URL || besideJobQueue(vars.SQS_QUEUE_URL),
    awsRegion: vars.AWS_REGION,
    sqsCredentials: {
      accessKeyId: vars.AWS_ACCESS_KEY_ID,
      secretAccessKey: vars.AWS_SECRET_ACCESS_KEY,
    },
    s3Credentials: {
      accessKeyId: vars.S3_ACCESS_KEY_ID,
      secretAccessKey: vars.S3_SECRET_ACCESS_KEY,
    },
    shards: vars.SHARDS,
    freeTier: {
      requestsPerMinute: vars.FREE_REQUESTS_PER_MINUTE,
      unitsPerDay: vars.FREE_UNITS_PER_DAY,
      openRequests: vars.FREE_OPEN_REQUESTS,
      refusalsPerMinute: vars.FREE_REFUSALS_PER_MINUTE,
    },
    trainingSecondsPerDay: vars.TRAINING_SECONDS_PER_DAY,
    /** Id or alias of the model that prompts of the platform are answered by, where a call names none. */
    promptModel: vars.PROMPT_MODEL,
    bodyBytesMax: vars.BODY_BYTES_MAX,
    syncWindowSeconds: vars.SYNC_WINDOW_SECONDS,
    silentWorkSeconds: vars.SILENT_WORK_SECONDS,
    webhookRetrySeconds: vars.WEBHOOK_RETRY_SECONDS,
    /** `host:port` targets that webhooks may reach over http or on a private address. */
    webhookAllow: vars.WEBHOOK_ALLOW,
    /** Of the requests that succeed, how many get a line in the log: 0 to 1. */
    logSuccessShare: vars.LOG_SUCCESS_SHARE,
    localStack: vars.LOCAL_STACK === "1",
    /** Any of these may have signed a worker's call; the first is current. */
    callbackSecrets: [vars.CALLBACK_SECRET, vars.CALLBACK_SECRET_PREVIOUS].filter(Boolean),
    /** Empty: nobody is the operator. */
    operatorKey: vars.OPERATOR_KEY,
  }));
export type Settings = z.infer<typeof Settings>;

/** A queue's address ends with its name, and all queues of a platform lie in one account. */
function besideJobQueue(url: string): string {
  return new URL(queueNames.training, url).href;
}

function listOf(text: string): string[] {
  return text.split(",").flatMap((entry) => (entry.trim() === "" ? [] : [entry.trim()]));
}

const parsed = new WeakMap<object, Settings>();

/** @throws ZodError naming each variable that is missing or malformed */
export function settingsOf(env: Env): Settings {
  const known = parsed.get(env);
  if (known !== undefined) return known;
  const settings = Settings.parse(env);
  parsed.set(env, settings);
  return settings;
}
