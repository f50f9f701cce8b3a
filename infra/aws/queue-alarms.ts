/** Tells an operator of what does not mend itself in a queue: jobs given up, and jobs that nobody takes. */
import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Topic } from "aws-cdk-lib/aws-sns";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { JobQueues, QueuePair } from "./job-queues.ts";

const period = Duration.minutes(1);
/** A first instance takes some minutes to start; past this nobody is taking work. */
const oldestMessageMaxSeconds = 900;
/** A tuning job may wait for others to end. */
const oldestTrainingMaxSeconds = 6 * 3_600;

export class QueueAlarms extends Construct {
  /** Subscribe to be told. */
  readonly topic: Topic;

  constructor(scope: Construct, id: string, { jobs, training }: JobQueues) {
    super(scope, id);
    this.topic = new Topic(this, "Topic", { enforceSSL: true });
    this.#watchJobs(jobs);
    this.#watchTraining(training);
  }

  #watchJobs({ queue, deadLetter }: QueuePair): void {
    this.#alarm("DeadLetters", deadLettersOf(deadLetter), {
      threshold: 1,
      alarmDescription:
        "Jobs brought down every worker that took them: the workers' log names them. " +
        "What cannot be read stays in the queue.",
    });
    this.#alarm("OldestMessage", queue.metricApproximateAgeOfOldestMessage({ period }), {
      threshold: oldestMessageMaxSeconds,
      alarmDescription: "Jobs wait and no worker takes them.",
    });
  }

  /** A message of it is deleted as soon as its job is claimed: one that is old has not been. */
  #watchTraining({ queue, deadLetter }: QueuePair): void {
    const visible = deadLetter.metricApproximateNumberOfMessagesVisible({
      period,
      statistic: "Maximum",
    });
    this.#alarm("TrainingDeadLetters", visible, {
      threshold: 1,
      alarmDescription: "Tuning jobs could not be claimed: the training log says why.",
    });
    this.#alarm("OldestTraining", queue.metricApproximateAgeOfOldestMessage({ period }), {
      threshold: oldestTrainingMaxSeconds,
      alarmDescription: "Tuning jobs wait and no training task takes them.",
    });
  }

  #alarm(
    id: string,
    metric: IMetric,
    props: { threshold: number; alarmDescription: string },
  ): void {
    const alarm = new Alarm(this, id, {
      ...props,
      metric,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
  }
}

/** A worker deletes a dead letter within a minute of its coming, so those it has deleted count too. */
function deadLettersOf(queue: Queue): IMetric {
  return new MathExpression({
    label: "Dead letters",
    expression: "FILL(deleted, 0) + FILL(visible, 0) + FILL(hidden, 0)",
    period,
    usingMetrics: {
      deleted: queue.metricNumberOfMessagesDeleted({ period, statistic: "Sum" }),
      visible: queue.metricApproximateNumberOfMessagesVisible({ period, statistic: "Maximum" }),
      hidden: queue.metricApproximateNumberOfMessagesNotVisible({ period, statistic: "Maximum" }),
    },
  });
}
