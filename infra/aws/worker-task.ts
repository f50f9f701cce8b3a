/**
 * The worker's container: the image of gpu-worker/Dockerfile, one GPU, what it is told, and what it may touch: messages
 * of the job queue and of its dead-letter queue, and the model bucket, nothing else.
 */
import { Duration, IgnoreMode, Stack, Validations } from "aws-cdk-lib";
import {
  ContainerImage,
  Ec2TaskDefinition,
  LinuxParameters,
  LogDrivers,
  NetworkMode,
  Scope,
  Secret,
} from "aws-cdk-lib/aws-ecs";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { queueNumbers } from "#contract/queue.ts";
import { root } from "../run-program.ts";
import type { SharedSecrets } from "./shared-secrets.ts";

/** What every process of the image is told. */
export type SharedProps = {
  secrets: SharedSecrets;
  edgeUrl: string;
  /** The S3 API and the bucket in which the edge keeps large documents. */
  objectStorage: { endpoint: string; bucket: string; region: string };
};

export type WorkerTaskProps = SharedProps & { queue: Queue; deadLetter: Queue; models: Bucket };

export const stateFolder = "/var/lib/llm-os";
const healthPort = 8080;
const healthProbe =
  `fetch("http://127.0.0.1:${healthPort}/healthz")` +
  ".then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))";
/**
 * ECS allows two minutes from SIGTERM to the end, as spot instances have. What of it is the worker's follows from this.
 */
export const stopTimeoutSeconds = 110;
const scratchMiB = 256;
/** Of a g6.xlarge: 4 vCPU and 16 GiB, some of it the system's. */
const memoryReservationMiB = 12_288;

export class WorkerTask extends Construct {
  readonly definition: Ec2TaskDefinition;

  constructor(scope: Construct, id: string, props: WorkerTaskProps) {
    super(scope, id);
    this.definition = new Ec2TaskDefinition(this, "Definition", {
      networkMode: NetworkMode.AWS_VPC,
      // A volume of the instance: the next worker on it finds models and compiled graphs.
      volumes: [
        {
          name: "state",
          dockerVolumeConfiguration: { scope: Scope.SHARED, autoprovision: true, driver: "local" },
        },
      ],
    });
    this.#addContainer(props);
    props.queue.grantConsumeMessages(this.definition.taskRole);
    props.deadLetter.grantConsumeMessages(this.definition.taskRole);
    this.definition.addToTaskRolePolicy(
      new PolicyStatement({
        actions: ["s3:GetObject"],
        resources: [props.models.arnForObjects("*")],
      }),
    );
    this.#acknowledge();
  }

  #acknowledge(): void {
    Validations.of(this.definition).acknowledge(
      {
        id: "AwsSolutions-IAM5[Resource::<ModelFilesModelsBD036902.Arn>/*]",
        reason: "Any model of the bucket may be served; reading is all that is granted.",
      },
      {
        id: "AwsSolutions-IAM5[Resource::*]",
        reason: "ecr:GetAuthorizationToken of the execution role knows no resource.",
      },
      {
        id: "AwsSolutions-ECS2",
        reason: "Addresses and switches stand here; everything secret comes from Secrets Manager.",
      },
    );
  }

  #addContainer(props: WorkerTaskProps): void {
    const container = this.definition.addContainer("worker", {
      image: workerImage(),
      gpuCount: 1,
      memoryReservationMiB,
      readonlyRootFilesystem: true,
      linuxParameters: this.#scratch(),
      stopTimeout: Duration.seconds(stopTimeoutSeconds),
      environment: environmentOf(this, props),
      secrets: secretsOf(props),
      healthCheck: {
        command: ["CMD", "node", "-e", healthProbe],
        // A first start fetches and compiles models.
        startPeriod: Duration.minutes(5),
      },
      logging: LogDrivers.awsLogs({
        streamPrefix: "worker",
        logGroup: new LogGroup(this, "Log", { retention: RetentionDays.ONE_MONTH }),
      }),
    });
    container.addMountPoints({
      sourceVolume: "state",
      containerPath: stateFolder,
      readOnly: false,
    });
  }

  /** The one place besides the state folder that can be written to. */
  #scratch(): LinuxParameters {
    const parameters = new LinuxParameters(this, "Scratch", { initProcessEnabled: true });
    parameters.addTmpfs({ containerPath: "/tmp", size: scratchMiB, mountOptions: [] });
    return parameters;
  }
}

export function workerImage(): ContainerImage {
  return ContainerImage.fromAsset(root, {
    file: "gpu-worker/Dockerfile",
    ignoreMode: IgnoreMode.DOCKER,
  });
}

export function secretsOf({ secrets }: SharedProps): Record<string, Secret> {
  const { callback, objectStorage } = secrets;
  return {
    LLM_OS_CALLBACK_SECRET: Secret.fromSecretsManager(callback),
    S3_ACCESS_KEY_ID: Secret.fromSecretsManager(objectStorage, "accessKeyId"),
    S3_SECRET_ACCESS_KEY: Secret.fromSecretsManager(objectStorage, "secretAccessKey"),
  };
}

export function sharedEnvironment(scope: Construct, props: SharedProps): Record<string, string> {
  return {
    AWS_REGION: Stack.of(scope).region,
    LLM_OS_EDGE_URL: props.edgeUrl,
    S3_ENDPOINT: props.objectStorage.endpoint,
    S3_BUCKET: props.objectStorage.bucket,
    S3_REGION: props.objectStorage.region,
    LLM_OS_STATE: stateFolder,
    LLM_OS_DRAIN_SECONDS: String(stopTimeoutSeconds - queueNumbers.handBackSeconds),
  };
}

function environmentOf(scope: Construct, props: WorkerTaskProps): Record<string, string> {
  return {
    ...sharedEnvironment(scope, props),
    SQS_QUEUE_URL: props.queue.queueUrl,
    SQS_DEAD_LETTER_URL: props.deadLetter.queueUrl,
    LLM_OS_DEVICE: "cuda",
    LLM_OS_HEALTH_PORT: String(healthPort),
  };
}
