/**
 * wrangler.toml with the addresses of a real deployment in place of the local ones. Everything else, every limit above
 * all, is deployed as it stands in the file.
 */
import path from "node:path";
import { experimental_readRawConfig } from "wrangler";
import * as z from "zod";
import { root } from "../run-program.ts";

export type EdgeAddresses = {
  queueUrl: string;
  trainingQueueUrl: string;
  region: string;
  objectStorage: { endpoint: string; bucket: string; region: string };
  cacheNamespaceId: string;
};

const RawConfig = z.looseObject({
  main: z.string(),
  assets: z.looseObject({ directory: z.string() }),
  vars: z.record(z.string(), z.string()),
  kv_namespaces: z.array(z.looseObject({ binding: z.string() })),
});

/** @returns the configuration as JSON, its paths absolute, for a file anywhere */
export function edgeConfig(addresses: EdgeAddresses): Record<string, unknown> {
  const { rawConfig } = experimental_readRawConfig({ config: path.join(root, "wrangler.toml") });
  const { main, assets, vars, kv_namespaces: namespaces, ...rest } = RawConfig.parse(rawConfig);
  return {
    ...rest,
    main: path.join(root, main),
    assets: { ...assets, directory: path.join(root, assets.directory) },
    kv_namespaces: namespaces.map((namespace) => ({
      ...namespace,
      id: addresses.cacheNamespaceId,
    })),
    vars: {
      ...vars,
      SQS_ENDPOINT: new URL(addresses.queueUrl).origin,
      SQS_QUEUE_URL: addresses.queueUrl,
      SQS_TRAINING_QUEUE_URL: addresses.trainingQueueUrl,
      S3_ENDPOINT: addresses.objectStorage.endpoint,
      S3_BUCKET: addresses.objectStorage.bucket,
      S3_REGION: addresses.objectStorage.region,
      AWS_REGION: addresses.region,
    },
  };
}
