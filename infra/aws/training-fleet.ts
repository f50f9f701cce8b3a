/**
 * What trains, as an ECS service on Fargate: the workers' image with another command, and no GPU, which training does
 * not use. Scaled from none by what waits in its queue. A job's message is gone once its job is claimed, so a task that
 * is at one protects itself from being scaled in (gpu-worker/tuning-jobs/task-protection.ts).
 */
import { Duration, Validations } from "aws-cdk-lib";
import { AdjustmentType } from "aws-cdk-lib/aws-applicationautoscaling";
import { MathExpression } from "aws-cdk-lib/aws-cloudwatch";
import {
  type Cluster,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
  type ScalableTaskCount,
} from "aws-cdk-lib/aws-ecs";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { FirstDeploy } from "./first-deploy.ts";
import {
  secretsOf,
  sharedEnvironment,
  type SharedProps,
  stateFolder,
  stopTimeoutSeconds,
  workerImage,
} from "./worker-task.ts";

export type TrainingFleetProps = SharedProps & {
  cluster: Cluster;
  queue: Queue;
  tasksMax: number;
  firstDeploy: FirstDeploy;
};

/** Four cores; most trainings of a small model take less than half of the memory. */
const size = { cpu: 4_096, memoryLimitMiB: 16_384, ephemeralStorageGiB: 60 };

const period = Duration.minutes(1);
/** Jobs that wait beside those that run, from which on more than one task is added. */
const waitingMany = 4;
const idleMinutesBeforeScaleIn = 10;

export class TrainingFleet extends Construct {
  readonly service: FargateService;

  constructor(scope: Construct, id: string, props: TrainingFleetProps) {
    super(scope, id);
    const { cluster, queue, tasksMax, firstDeploy } = props;
    this.service = new FargateService(this, "Service", {
      cluster,
      taskDefinition: this.#task(props),
      minHealthyPercent: 0,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
    });
    firstDeploy.leaveNumber(this.service);
    this.#scale(this.service.autoScaleTaskCount({ minCapacity: 0, maxCapacity: tasksMax }), queue);
  }

  #task(props: TrainingFleetProps): FargateTaskDefinition {
    const definition = new FargateTaskDefinition(this, "Task", {
      ...size,
      volumes: [{ name: "state" }],
    });
    const container = definition.addContainer("training", {
      image: workerImage(),
      command: ["node", "gpu-worker/train.ts"],
      readonlyRootFilesystem: true,
      stopTimeout: Duration.seconds(stopTimeoutSeconds),
      environment: {
        ...sharedEnvironment(this, props),
        SQS_TRAINING_QUEUE_URL: props.queue.queueUrl,
      },
      secrets: secretsOf(props),
      logging: LogDrivers.awsLogs({
        streamPrefix: "training",
        logGroup: new LogGroup(this, "Log", { retention: RetentionDays.ONE_MONTH }),
      }),
    });
    container.addMountPoints({
      sourceVolume: "state",
      containerPath: stateFolder,
      readOnly: false,
    });
    props.queue.grantConsumeMessages(definition.taskRole);
    definition.addToTaskRolePolicy(
      new PolicyStatement({
        actions: ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
        resources: ["*"],
        conditions: { ArnEquals: { "ecs:cluster": props.cluster.clusterArn } },
      }),
    );
    this.#acknowledge(definition);
    return definition;
  }

  #acknowledge(definition: FargateTaskDefinition): void {
    Validations.of(definition).acknowledge(
      {
        id: "AwsSolutions-IAM5[Resource::*]",
        reason:
          "Which task it is a task learns when it runs: those of its cluster are allowed. And " +
          "ecr:GetAuthorizationToken of the execution role knows no resource.",
      },
      {
        id: "AwsSolutions-ECS2",
        reason: "Addresses and switches stand here; everything secret comes from Secrets Manager.",
      },
    );
  }

  #scale(tasks: ScalableTaskCount, queue: Queue): void {
    const statistic = "Maximum";
    const waiting = queue.metricApproximateNumberOfMessagesVisible({ period, statistic });
    const held = queue.metricApproximateNumberOfMessagesNotVisible({ period, statistic });
    tasks.scaleOnMetric("ScaleOut", {
      metric: waiting,
      scalingSteps: [
        { upper: 0, change: 0 },
        { lower: 1, change: 1 },
        { lower: waitingMany, change: 2 },
      ],
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      evaluationPeriods: 1,
      // A task takes some minutes to start.
      cooldown: Duration.minutes(4),
    });
    tasks.scaleOnMetric("ScaleIn", {
      metric: new MathExpression({
        label: "Jobs that nobody has claimed",
        expression: "waiting + held",
        usingMetrics: { waiting, held },
        period,
      }),
      scalingSteps: [
        { upper: 0, change: -1 },
        { lower: 1, change: 0 },
      ],
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      evaluationPeriods: idleMinutesBeforeScaleIn,
      cooldown: Duration.minutes(idleMinutesBeforeScaleIn),
    });
  }
}
