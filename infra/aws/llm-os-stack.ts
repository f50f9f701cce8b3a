/**
 * Everything of LLM OS that runs on AWS: queues, model bucket, workers, secrets, alarms. The edge, its cache and the
 * callers' files are on Cloudflare, described by wrangler.toml.
 */
/* oxlint-disable no-new -- a construct adds itself to its scope */
import { CfnOutput, CfnParameter, Stack, type StackProps, Validations } from "aws-cdk-lib";
import { User } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";
import { FirstDeploy } from "./first-deploy.ts";
import { FleetNetwork } from "./fleet-network.ts";
import { JobQueues } from "./job-queues.ts";
import { ModelBucket } from "./model-bucket.ts";
import { outputs } from "./outputs.ts";
import { QueueAlarms } from "./queue-alarms.ts";
import { SharedSecrets } from "./shared-secrets.ts";
import { TrainingFleet } from "./training-fleet.ts";
import { WorkerFleet } from "./worker-fleet.ts";

export type LlmOsStackProps = StackProps & { instanceType: string; tasksMax: number };

export class LlmOsStack extends Stack {
  constructor(scope: Construct, id: string, props: LlmOsStackProps) {
    super(scope, id, props);
    const queues = new JobQueues(this, "Queues");
    const edgeUser = this.#edgeUser();
    const { jobs, training } = queues;
    for (const { queue } of [jobs, training]) queue.grant(edgeUser, "sqs:SendMessage");
    const secrets = new SharedSecrets(this, "Secrets", edgeUser);
    const { tasksMax } = props;
    const shared = {
      secrets,
      edgeUrl: this.#parameter(
        "EdgeUrl",
        "Where the edge answers, such as https://api.example.com",
      ),
      objectStorage: {
        endpoint: this.#parameter("ObjectStorageEndpoint", "S3 API of the edge's object storage"),
        bucket: this.#parameter("ObjectStorageBucket", "Bucket of the edge's object storage"),
        region: this.#parameter("ObjectStorageRegion", "Its region; auto is R2's"),
      },
      tasksMax,
      firstDeploy: new FirstDeploy(this, "First"),
    };
    const fleet = new WorkerFleet(this, "Fleet", {
      ...shared,
      ...jobs,
      vpc: new FleetNetwork(this, "Network").vpc,
      models: new ModelBucket(this, "ModelFiles").bucket,
      instanceType: props.instanceType,
    });
    const { cluster } = fleet;
    const trainers = new TrainingFleet(this, "Training", {
      ...shared,
      cluster,
      queue: training.queue,
    });
    new QueueAlarms(this, "Alarms", queues);
    this.#output(outputs.queueUrl, jobs.queue.queueUrl);
    this.#output(outputs.trainingQueueUrl, training.queue.queueUrl);
    this.#output(outputs.clusterName, cluster.clusterName);
    this.#output(outputs.serviceName, fleet.service.serviceName);
    this.#output(outputs.trainingServiceName, trainers.service.serviceName);
    this.#output(outputs.callbackSecret, secrets.callback.secretArn);
    this.#output(outputs.operatorKey, secrets.operatorKey.secretArn);
    this.#output(outputs.objectStorageKeys, secrets.objectStorage.secretArn);
    this.#output(outputs.edgeKeys, secrets.edgeKeys.secretArn);
  }

  /** The edge lives outside AWS and cannot take a role: a user that may send to the queues and do nothing else. */
  #edgeUser(): User {
    const user = new User(this, "EdgeUser");
    Validations.of(user).acknowledge({
      id: "AwsSolutions-IAM2",
      reason: "One user with one policy of its own; a group would serve nobody else.",
    });
    return user;
  }

  #parameter(id: string, description: string): string {
    return new CfnParameter(this, id, { type: "String", description }).valueAsString;
  }

  #output(id: string, value: string): void {
    new CfnOutput(this, id, { value });
  }
}
