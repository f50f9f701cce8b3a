/** Requests to object storage over the S3 API: signed, one try each, and what is tried again. */
import { AwsClient } from "aws4fetch";
import pRetry, { AbortError } from "p-retry";
import { ObjectLost } from "#contract/object-reference.ts";

export type ObjectStoreOptions = {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
};

export type ObjectRequest = {
  method: "GET" | "PUT" | "POST" | "DELETE";
  key: string;
  query?: Readonly<Record<string, string>>;
  contentType?: string;
  body?: Uint8Array | string;
  signal: AbortSignal;
};

/** @throws AbortError, which `withRetries` does not try again, where the answer would stay the same */
export type SendObjectRequest = (request: ObjectRequest) => Promise<Response>;

export function openObjectRequests(options: ObjectStoreOptions): SendObjectRequest {
  const { accessKeyId, secretAccessKey, region } = options;
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
  const addressOf = (key: string) =>
    [
      options.endpoint.replace(/\/$/, ""),
      options.bucket,
      ...key.split("/").map(encodeURIComponent),
    ].join("/");
  return async ({ method, key, query = {}, contentType, body, signal }) => {
    const url = new URL(addressOf(key));
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const answer = await client.fetch(url, {
      method,
      signal,
      ...(contentType !== undefined && { headers: { "content-type": contentType } }),
      ...(body !== undefined && { body }),
    });
    if (method === "GET" && answer.status === 404) await refuseLost(answer, key);
    await assertOk(answer, `${method} ${key}`);
    return answer;
  };
}

export function withRetries<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  return pRetry(attempt, {
    retries: 4,
    minTimeout: 200,
    maxTimeout: 3_000,
    randomize: true,
    signal,
  });
}

async function refuseLost(answer: Response, key: string): Promise<never> {
  await answer.body?.cancel();
  throw new AbortError(new ObjectLost(key, "gone"));
}

async function assertOk(answer: Response, what: string): Promise<void> {
  if (answer.ok) return;
  await answer.body?.cancel();
  const error = new Error(`${what} answered ${answer.status}`);
  const transient = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  throw transient ? error : new AbortError(error);
}
