/** Secrets Manager: values as they are, and the versions of a secret that is being rotated. */
import { randomBytes } from "node:crypto";
import type { SecretsManager } from "@aws-sdk/client-secrets-manager";
import * as z from "zod";
import type { RotatedSecret } from "./roll-out.ts";

export const KeyPair = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() });
export type KeyPair = z.infer<typeof KeyPair>;

export type AwsSecrets = {
  read: (name: string) => Promise<string>;
  write: (name: string, value: string) => Promise<void>;
};

export function awsSecrets(manager: SecretsManager): AwsSecrets {
  return {
    read: (name) => readValue(manager, { SecretId: name }),
    write: async (name, value) => {
      await manager.putSecretValue({ SecretId: name, SecretString: value });
    },
  };
}

/** @throws TypeError for a secret of bytes: none of ours is one */
async function readValue(
  manager: SecretsManager,
  asked: { SecretId: string; VersionId?: string },
): Promise<string> {
  const { SecretString: value } = await manager.getSecretValue(asked);
  if (value === undefined) throw new TypeError(`the secret ${asked.SecretId} is no text`);
  return value;
}

/** 48 characters, as long as the first one, which CloudFormation made. */
const secretBytes = 36;

/**
 * A secret whose versions carry Secrets Manager's own labels, so that a deploy which ended half-way is told by them:
 * AWSPENDING is not in use yet, AWSPREVIOUS may still be.
 */
export function rotatedSecret(manager: SecretsManager, name: string): RotatedSecret {
  const secret = { SecretId: name };
  const versionOf = async (stage: string): Promise<string | null> => {
    const { VersionIdsToStages: versions = {} } = await manager.describeSecret(secret);
    return Object.entries(versions).find(([, stages]) => stages.includes(stage))?.[0] ?? null;
  };
  const valueOf = async (stage: string): Promise<string | null> => {
    const version = await versionOf(stage);
    return version === null ? null : readValue(manager, { ...secret, VersionId: version });
  };
  const move = (stage: string, from: string | null, to: string | null) =>
    manager.updateSecretVersionStage({
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
      const stages = { VersionStages: ["AWSPENDING"] };
      await manager.putSecretValue({ ...secret, ...stages, SecretString: value });
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
