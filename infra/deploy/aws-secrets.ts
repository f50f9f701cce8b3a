/** Reads and writes Secrets Manager with whatever credentials the AWS SDK finds: variables, profile, single sign-on. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsClient } from "aws4fetch";
import * as z from "zod";
import { DeployError } from "./deploy-settings.ts";

const SecretValue = z.object({ SecretString: z.string() });
export const KeyPair = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() });
export type KeyPair = z.infer<typeof KeyPair>;

export type AwsSecrets = {
  read: (name: string) => Promise<string>;
  write: (name: string, value: string) => Promise<void>;
};

/** @throws DeployError where no credentials are found */
export async function openAwsSecrets(region: string): Promise<AwsSecrets> {
  const client = await signer(region);
  const call = async (action: string, body: object): Promise<unknown> => {
    const response = await client.fetch(`https://secretsmanager.${region}.amazonaws.com/`, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": `secretsmanager.${action}`,
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new DeployError(`Secrets Manager refused ${action}: ${text}`);
    return JSON.parse(text);
  };
  return {
    read: async (name) =>
      SecretValue.parse(await call("GetSecretValue", { SecretId: name })).SecretString,
    write: async (name, value) => {
      await call("PutSecretValue", {
        SecretId: name,
        SecretString: value,
        ClientRequestToken: crypto.randomUUID(),
      });
    },
  };
}

/** The SDK's own search for credentials, which aws4fetch does not have. */
async function signer(region: string): Promise<AwsClient> {
  try {
    const { accessKeyId, secretAccessKey, sessionToken } = await new SQSClient({
      region,
    }).config.credentials();
    return new AwsClient({
      accessKeyId,
      secretAccessKey,
      region,
      service: "secretsmanager",
      ...(sessionToken === undefined ? {} : { sessionToken }),
    });
  } catch (error) {
    throw new DeployError(
      `no AWS credentials were found (${error instanceof Error ? error.message : String(error)}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
      { cause: error },
    );
  }
}
