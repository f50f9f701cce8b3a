import { expect, it } from "vitest";
import { stackParameters } from "../../../infra/deploy/carry-out.ts";

it("tells the stack whether the fleet is new, so that a running one keeps its number of tasks", () => {
  const settings = {
    LLM_OS_EDGE_URL: "https://edge.example.com",
    CLOUDFLARE_ACCOUNT_ID: "account",
    CLOUDFLARE_API_TOKEN: "token",
    S3_ENDPOINT: "https://account.r2.example.com",
    S3_BUCKET: "bucket",
    S3_ACCESS_KEY_ID: "key",
    S3_SECRET_ACCESS_KEY: "secret",
    S3_REGION: "auto",
    AWS_REGION: "eu-west-1",
  };
  expect(stackParameters(settings, true)).toMatchObject({ FirstDeploy: "yes" });
  expect(stackParameters(settings, false)).toMatchObject({
    FirstDeploy: "no",
    EdgeUrl: "https://edge.example.com",
    ObjectStorageBucket: "bucket",
    ObjectStorageRegion: "auto",
  });
});
