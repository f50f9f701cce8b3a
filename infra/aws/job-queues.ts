/** A queue for each pool of workers with its dead-letter queue, with the numbers that the workers obey. */
import { Duration } from "aws-cdk-lib";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { queueNames, queueNumbers } from "#contract/queue.ts";

const longestPollSeconds = 20;

export type QueuePair = { readonly queue: Queue; readonly deadLetter: Queue };

export class JobQueues extends Construct {
  readonly jobs: QueuePair;
  readonly training: QueuePair;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.jobs = this.#pair("", { name: queueNames.jobs, deadLetter: queueNames.deadLetter });
    this.training = this.#pair("Training", {
      name: queueNames.training,
      deadLetter: queueNames.trainingDeadLetter,
    });
  }

  #pair(prefix: string, names: { name: string; deadLetter: string }): QueuePair {
    const deadLetter = new Queue(this, `${prefix}DeadLetter`, {
      queueName: names.deadLetter,
      enforceSSL: true,
      encryption: QueueEncryption.SQS_MANAGED,
      retentionPeriod: Duration.seconds(queueNumbers.deadLetterRetentionSeconds),
    });
    const queue = new Queue(this, `${prefix}Jobs`, {
      queueName: names.name,
      enforceSSL: true,
      encryption: QueueEncryption.SQS_MANAGED,
      visibilityTimeout: Duration.seconds(queueNumbers.visibilityTimeoutSeconds),
      retentionPeriod: Duration.seconds(queueNumbers.retentionSeconds),
      receiveMessageWaitTime: Duration.seconds(longestPollSeconds),
      deadLetterQueue: { queue: deadLetter, maxReceiveCount: queueNumbers.maxReceiveCount },
    });
    return { queue, deadLetter };
  }
}
