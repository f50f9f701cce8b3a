/** Calls of AWS services in their JSON protocol, signed with whatever credentials the AWS SDK finds: variables, profile, single sign-on. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsClient } from "aws4fetch";
import { DeployError } from "./deploy-settings.ts";

/** What each service calls its operations by, in `x-amz-target`. */
const targets = {
  secretsmanager: "secretsmanager",
  ecs: "AmazonEC2ContainerServiceV20141113",
} as const;

export type AwsApi = {
  /** @returns the answer's JSON. @throws DeployError with what AWS said */
  call: (service: keyof typeof targets, action: string, body: object) => Promise<unknown>;
  /** Whether CloudFormation knows the stack. */
  hasStack: (name: string) => Promise<boolean>;
};

/** @throws DeployError where no credentials are found */
export async function openAwsApi(region: string): Promise<AwsApi> {
  const client = await signer(region);
  return {
    async call(service, action, body) {
      const response = await client.fetch(`https://${service}.${region}.amazonaws.com/`, {
        method: "POST",
        headers: {
          "content-type": "application/x-amz-json-1.1",
          "x-amz-target": `${targets[service]}.${action}`,
        },
        body: JSON.stringify(body),
        aws: { service },
      });
      const text = await response.text();
      if (!response.ok) throw new DeployError(`${service} refused ${action}: ${text}`);
      return text === "" ? {} : JSON.parse(text);
    },
    async hasStack(name) {
      const query = new URLSearchParams({
        Action: "DescribeStacks",
        Version: "2010-05-15",
        StackName: name,
      });
      const url = `https://cloudformation.${region}.amazonaws.com/?${query}`;
      const response = await client.fetch(url, { aws: { service: "cloudformation" } });
      const text = await response.text();
      if (response.ok) return true;
      // CloudFormation has no code of its own for it: a ValidationError, "Stack with id X does not exist".
      if (response.status === 400 && text.includes("does not exist")) return false;
      throw new DeployError(`CloudFormation refused DescribeStacks: ${text}`);
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
      ...(sessionToken === undefined ? {} : { sessionToken }),
    });
  } catch (error) {
    throw new DeployError(
      `no AWS credentials were found (${error instanceof Error ? error.message : String(error)}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
      { cause: error },
    );
  }
}
