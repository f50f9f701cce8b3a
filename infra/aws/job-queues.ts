/** The job queue and its dead-letter queue, with the numbers that the worker obeys. */
import { Duration } from "aws-cdk-lib";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { queueNames, queueNumbers } from "#contract/queue.ts";

const longestPollSeconds = 20;

export class JobQueues extends Construct {
  readonly jobs: Queue;
  readonly deadLetter: Queue;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.deadLetter = new Queue(this, "DeadLetter", {
      queueName: queueNames.deadLetter,
      enforceSSL: true,
      encryption: QueueEncryption.SQS_MANAGED,
      retentionPeriod: Duration.seconds(queueNumbers.deadLetterRetentionSeconds),
    });
    this.jobs = new Queue(this, "Jobs", {
      queueName: queueNames.jobs,
      enforceSSL: true,
      encryption: QueueEncryption.SQS_MANAGED,
      visibilityTimeout: Duration.seconds(queueNumbers.visibilityTimeoutSeconds),
      retentionPeriod: Duration.seconds(queueNumbers.retentionSeconds),
      receiveMessageWaitTime: Duration.seconds(longestPollSeconds),
      deadLetterQueue: { queue: this.deadLetter, maxReceiveCount: queueNumbers.maxReceiveCount },
    });
  }
}
