/** Secrets Manager: values as they are, and the versions of a secret that is being rotated. */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { AwsApi } from "./aws-api.ts";
import type { RotatedSecret } from "./roll-out.ts";

const SecretValue = z.object({ SecretString: z.string() });
export const KeyPair = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() });
export type KeyPair = z.infer<typeof KeyPair>;

export type AwsSecrets = {
  read: (name: string) => Promise<string>;
  write: (name: string, value: string) => Promise<void>;
};

export function awsSecrets({ call }: AwsApi): AwsSecrets {
  return {
    read: async (name) =>
      SecretValue.parse(await call("secretsmanager", "GetSecretValue", { SecretId: name }))
        .SecretString,
    write: async (name, value) => {
      await call("secretsmanager", "PutSecretValue", {
        SecretId: name,
        SecretString: value,
        ClientRequestToken: crypto.randomUUID(),
      });
    },
  };
}

const Described = z.object({ VersionIdsToStages: z.record(z.string(), z.array(z.string())) });

/** 48 characters, as long as the first one, which CloudFormation made. */
const secretBytes = 36;

/**
 * A secret whose versions carry Secrets Manager's own labels, so that a deploy which ended half-way is told by them:
 * AWSPENDING is not in use yet, AWSPREVIOUS may still be.
 */
export function rotatedSecret({ call }: AwsApi, name: string): RotatedSecret {
  const secret = { SecretId: name };
  const versionOf = async (stage: string): Promise<string | null> => {
    const { VersionIdsToStages: versions } = Described.parse(
      await call("secretsmanager", "DescribeSecret", secret),
    );
    return Object.entries(versions).find(([, stages]) => stages.includes(stage))?.[0] ?? null;
  };
  const valueOf = async (stage: string): Promise<string | null> => {
    const version = await versionOf(stage);
    if (version === null) return null;
    const asked = { ...secret, VersionId: version };
    return SecretValue.parse(await call("secretsmanager", "GetSecretValue", asked)).SecretString;
  };
  const move = (stage: string, from: string | null, to: string | null) =>
    call("secretsmanager", "UpdateSecretVersionStage", {
      ...secret,
      VersionStage: stage,
      ...(from !== null && { RemoveFromVersionId: from }),
      ...(to !== null && { MoveToVersionId: to }),
    });
  return {
    async read() {
      const current = (await valueOf("AWSCURRENT")) ?? "";
      const pending = await valueOf("AWSPENDING");
      return {
        current,
        // The label stays with a version that became the current one.
        pending: pending === current ? null : pending,
        previous: await valueOf("AWSPREVIOUS"),
      };
    },
    async propose() {
      const value = randomBytes(secretBytes).toString("base64url");
      await call("secretsmanager", "PutSecretValue", {
        ...secret,
        SecretString: value,
        ClientRequestToken: crypto.randomUUID(),
        VersionStages: ["AWSPENDING"],
      });
      return value;
    },
    async promote() {
      // Secrets Manager labels the one that was current AWSPREVIOUS.
      const pending = await versionOf("AWSPENDING");
      await move("AWSCURRENT", await versionOf("AWSCURRENT"), pending);
      await move("AWSPENDING", pending, null);
    },
    async forgetPrevious() {
      const previous = await versionOf("AWSPREVIOUS");
      if (previous !== null) await move("AWSPREVIOUS", previous, null);
    },
  };
}
