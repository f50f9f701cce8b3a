import { describe, expect, it } from "vitest";
import { readDeploySettings } from "../../../infra/deploy/deploy-settings.ts";

const complete = {
  LLM_OS_EDGE_URL: "https://edge.example.com",
  CLOUDFLARE_ACCOUNT_ID: "account",
  CLOUDFLARE_API_TOKEN: "token",
  S3_ENDPOINT: "https://account.r2.example.com",
  S3_BUCKET: "bucket",
  S3_ACCESS_KEY_ID: "key",
  S3_SECRET_ACCESS_KEY: "secret",
};

describe("deploy settings", () => {
  it("are read from the environment", () => {
    expect(readDeploySettings(complete)).toEqual({
      ...complete,
      S3_REGION: "auto",
      AWS_REGION: "us-east-1",
    });
  });

  it("name all that is missing at once, and nothing else", () => {
    const { S3_BUCKET: _bucket, CLOUDFLARE_API_TOKEN: _token, ...partial } = complete;
    expect(() => readDeploySettings(partial)).toThrow(
      /CLOUDFLARE_API_TOKEN: an API token[^]*S3_BUCKET: an R2 bucket/,
    );
    expect(() => readDeploySettings(partial)).not.toThrow(/S3_ENDPOINT/);
  });

  it("refuse an edge that does not answer over https", () => {
    expect(() => readDeploySettings({ ...complete, LLM_OS_EDGE_URL: "http://x.example" })).toThrow(
      "LLM_OS_EDGE_URL",
    );
  });
});
