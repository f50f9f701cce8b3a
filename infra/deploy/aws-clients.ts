/** The AWS services that a deploy calls, with the credentials that the SDK finds (variables, profile, sign-on). */
import { CloudFormation, CloudFormationServiceException } from "@aws-sdk/client-cloudformation";
import { ECS, ECSServiceException } from "@aws-sdk/client-ecs";
import { SecretsManager, SecretsManagerServiceException } from "@aws-sdk/client-secrets-manager";
import { DeployError } from "./deploy-settings.ts";

export type AwsClients = {
  readonly cloudFormation: CloudFormation;
  readonly ecs: ECS;
  readonly secretsManager: SecretsManager;
};

/** @throws DeployError where no credentials are found */
export async function openAwsClients(region: string): Promise<AwsClients> {
  const secretsManager = new SecretsManager({ region });
  try {
    await secretsManager.config.credentials();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const remedy = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    throw new DeployError(`no AWS credentials were found (${reason}): ${remedy}`, { cause: error });
  }
  return {
    cloudFormation: new CloudFormation({ region }),
    ecs: new ECS({ region }),
    secretsManager,
  };
}

/** What AWS said of a call that it refused; null where `error` is of another kind. */
export function awsRefusal(error: unknown): string | null {
  const isRefusal =
    error instanceof CloudFormationServiceException ||
    error instanceof ECSServiceException ||
    error instanceof SecretsManagerServiceException;
  return isRefusal ? `AWS refused: ${error.name}: ${error.message}` : null;
}

/** Whether CloudFormation knows the stack. */
export async function hasStack(
  { cloudFormation }: Pick<AwsClients, "cloudFormation">,
  name: string,
): Promise<boolean> {
  try {
    await cloudFormation.describeStacks({ StackName: name });
    return true;
  } catch (error) {
    // It has no code of its own for it: a ValidationError, "Stack with id X does not exist".
    const isUnknown =
      error instanceof CloudFormationServiceException && error.message.includes("does not exist");
    if (isUnknown) return false;
    throw error;
  }
}
