/** The worker's environment: what it becomes, and what is said of what cannot be used. */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, readConfig } from "../gpu-worker/config.ts";

const complete = {
  LLM_OS_EDGE_URL: "https://edge.example",
  LLM_OS_CALLBACK_SECRET: "callback",
  SQS_QUEUE_URL: "https://sqs.example/1/jobs",
  S3_ENDPOINT: "https://s3.example",
  S3_BUCKET: "files",
  S3_ACCESS_KEY_ID: "key",
  S3_SECRET_ACCESS_KEY: "secret",
};

function refusal(environment: Record<string, string | undefined>): string {
  try {
    readConfig(environment, "fallback");
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  throw new Error("it was not refused");
}

describe("readConfig", () => {
  it("fills in defaults", () => {
    expect(readConfig(complete, "fallback")).toEqual({
      workerId: "fallback",
      drainSeconds: 8,
      health: { host: "127.0.0.1", port: 0 },
      logLevel: "info",
      edge: { url: "https://edge.example", callbackSecret: "callback" },
      queue: {
        url: "https://sqs.example/1/jobs",
        deadLetterUrl: null,
        endpoint: null,
        region: "us-east-1",
        waitSeconds: 20,
        credentials: null,
      },
      objectStore: {
        endpoint: "https://s3.example",
        bucket: "files",
        region: "auto",
        accessKeyId: "key",
        secretAccessKey: "secret",
      },
      models: {
        stateFolder: ".llm-os",
        cacheFolder: ".llm-os",
        modelsFolder: null,
        hub: { endpoint: "https://huggingface.co", token: null },
        form: "auto",
        kvCache: "float",
        device: "auto",
        cudaFolder: path.join(".llm-os", "cuda"),
        threads: null,
        memory: null,
        tunedBytes: 10 * 2 ** 30,
        contextTokens: null,
        prefetch: null,
        poolThreads: 4,
      },
    });
  });

  it("takes what is set, and an empty variable for unset", () => {
    const config = readConfig(
      {
        ...complete,
        SQS_WAIT_SECONDS: "1",
        AWS_ACCESS_KEY_ID: "a",
        AWS_SECRET_ACCESS_KEY: "b",
        LLM_OS_THREADS: "2",
        LLM_OS_PREFETCH: "SmolLM2-135M-Instruct",
        LLM_OS_CONTEXT_TOKENS: "2048",
        LLM_OS_FORM: "int8",
        LLM_OS_KV_CACHE: "int8",
        LLM_OS_WORKER_ID: "worker-2",
        HF_TOKEN: "",
        LLM_OS_MODELS: "",
        LLM_OS_CACHE: "cache",
      },
      "fallback",
    );
    expect(config.queue.waitSeconds).toBe(1);
    expect(config.queue.credentials).toEqual({ accessKeyId: "a", secretAccessKey: "b" });
    expect(config.models).toMatchObject({ threads: 2, form: "int8", modelsFolder: null });
    expect(config.models.kvCache).toBe("int8");
    expect(config.models).toMatchObject({
      prefetch: "SmolLM2-135M-Instruct",
      contextTokens: 2_048,
    });
    expect(config.models).toMatchObject({ stateFolder: ".llm-os", cacheFolder: "cache" });
    expect(config.models.hub.token).toBeNull();
    expect(config.workerId).toBe("worker-2");
  });

  it("names every missing variable with its fix", () => {
    const message = refusal({ ...complete, LLM_OS_EDGE_URL: undefined, S3_BUCKET: "" });
    expect(message).toMatch(/LLM_OS_EDGE_URL is not set\. Set it to the edge's address/);
    expect(message).toMatch(/S3_BUCKET is not set\. Set it to/);
    expect(message).not.toMatch(/SQS_QUEUE_URL/);
  });

  it.each([
    ["SQS_WAIT_SECONDS", "21"],
    ["SQS_WAIT_SECONDS", "1.5"],
    ["LLM_OS_FORM", "f64"],
    ["LLM_OS_KV_CACHE", "int4"],
    ["LLM_OS_THREADS", "0"],
    ["LLM_OS_CONTEXT_TOKENS", "255"],
    ["LLM_OS_HEALTH_PORT", "70000"],
    ["LLM_OS_DRAIN_SECONDS", "8.5"],
    ["LLM_OS_EDGE_URL", "edge"],
    ["LLM_OS_WORKER_ID", "a worker"],
  ])("refuses %s=%s by name, without printing the value", (name, value) => {
    const message = refusal({ ...complete, [name]: value });
    expect(message).toContain(`${name} has a value that cannot be used. Set it to`);
  });

  it("wants both AWS keys or neither", () => {
    expect(refusal({ ...complete, AWS_ACCESS_KEY_ID: "a" })).toMatch(/Set both, or neither/);
  });
});
