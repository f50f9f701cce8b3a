/** Tells an operator of the two things that do not mend themselves: jobs given up, and jobs that nobody takes. */
import { Duration } from "aws-cdk-lib";
import { ComparisonOperator, type Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Topic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import type { JobQueues } from "./job-queues.ts";

const period = Duration.minutes(1);
/** A first instance takes some minutes to start; past this nobody is taking work. */
const oldestMessageMaxSeconds = 900;

export class QueueAlarms extends Construct {
  /** Subscribe to be told. */
  readonly topic: Topic;

  constructor(scope: Construct, id: string, { jobs, deadLetter }: JobQueues) {
    super(scope, id);
    this.topic = new Topic(this, "Topic", { enforceSSL: true });
    this.#alarm("DeadLetters", deadLetter.metricApproximateNumberOfMessagesVisible({ period }), {
      threshold: 1,
      alarmDescription: "Jobs that failed on every try lie in the dead-letter queue.",
    });
    this.#alarm("OldestMessage", jobs.metricApproximateAgeOfOldestMessage({ period }), {
      threshold: oldestMessageMaxSeconds,
      alarmDescription: "Jobs wait and no worker takes them.",
    });
  }

  #alarm(id: string, metric: Metric, props: { threshold: number; alarmDescription: string }): void {
    const alarm = metric.createAlarm(this, id, {
      ...props,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
  }
}
