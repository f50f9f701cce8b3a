import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import * as z from "zod";
import { edgeConfig } from "../../../infra/deploy/edge-config.ts";

it("replaces the local addresses of wrangler.toml and keeps its limits", () => {
  const config = edgeConfig({
    queueUrl: "https://sqs.eu-west-1.amazonaws.com/1234/llm-os-jobs",
    trainingQueueUrl: "https://sqs.eu-west-1.amazonaws.com/1234/llm-os-training",
    region: "eu-west-1",
    objectStorage: { endpoint: "https://account.r2.example.com", bucket: "files", region: "auto" },
    cacheNamespaceId: "f00",
  });
  expect(existsSync(z.string().parse(config["main"]))).toBe(true);
  expect(config["assets"]).toMatchObject({ directory: expect.toSatisfy(existsSync) });
  expect(config["kv_namespaces"]).toEqual([{ binding: "CACHE", id: "f00" }]);
  expect(config["vars"]).toMatchObject({
    SQS_ENDPOINT: "https://sqs.eu-west-1.amazonaws.com",
    SQS_QUEUE_URL: "https://sqs.eu-west-1.amazonaws.com/1234/llm-os-jobs",
    SQS_TRAINING_QUEUE_URL: "https://sqs.eu-west-1.amazonaws.com/1234/llm-os-training",
    S3_BUCKET: "files",
    S3_REGION: "auto",
    AWS_REGION: "eu-west-1",
    LOCAL_STACK: "",
    WEBHOOK_ALLOW: "",
    FREE_REQUESTS_PER_MINUTE: "60",
  });
  expect(JSON.stringify(config)).not.toContain("127.0.0.1");
});
