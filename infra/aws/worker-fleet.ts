/**
 * The workers as an ECS service on GPU instances, scaled on backlog per task down to zero. A task is added while
 * messages wait and none runs, or more wait for each than it should; one is taken away when nothing has waited or run
 * for a while.
 */
import { Duration } from "aws-cdk-lib";
import { AdjustmentType } from "aws-cdk-lib/aws-applicationautoscaling";
import { MathExpression, Metric } from "aws-cdk-lib/aws-cloudwatch";
import type { Vpc } from "aws-cdk-lib/aws-ec2";
import {
  Cluster,
  ContainerInsights,
  Ec2Service,
  type ScalableTaskCount,
} from "aws-cdk-lib/aws-ecs";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { FirstDeploy } from "./first-deploy.ts";
import { GpuCapacity } from "./gpu-capacity.ts";
import { WorkerTask, type WorkerTaskProps } from "./worker-task.ts";

export type WorkerFleetProps = WorkerTaskProps & {
  vpc: Vpc;
  instanceType: string;
  tasksMax: number;
  firstDeploy: FirstDeploy;
};

const period = Duration.minutes(1);
/** Messages that one task should have before it at most; a task answers some hundred small ones a second. */
const backlogPerTaskMax = 200;
/** A task that never has more than this to do is one too many. */
const idleMessagesPerTask = 5;
const idleMinutesBeforeScaleIn = 10;

export class WorkerFleet extends Construct {
  readonly cluster: Cluster;
  readonly service: Ec2Service;

  constructor(scope: Construct, id: string, props: WorkerFleetProps) {
    super(scope, id);
    const { vpc, instanceType, tasksMax } = props;
    this.cluster = new Cluster(this, "Cluster", {
      vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    const capacity = new GpuCapacity(this, "Capacity", {
      vpc,
      instanceType,
      instancesMax: tasksMax,
    });
    this.cluster.addAsgCapacityProvider(capacity.provider);
    this.service = new Ec2Service(this, "Service", {
      cluster: this.cluster,
      taskDefinition: new WorkerTask(this, "Task", props).definition,
      minHealthyPercent: 0,
      maxHealthyPercent: 200,
      capacityProviderStrategies: [
        { capacityProvider: capacity.provider.capacityProviderName, weight: 1 },
      ],
      circuitBreaker: { rollback: true },
    });
    props.firstDeploy.leaveNumber(this.service);
    const tasks = this.service.autoScaleTaskCount({ minCapacity: 0, maxCapacity: tasksMax });
    this.#scaleOut(tasks, props.queue);
    this.#scaleIn(tasks, props.queue);
  }

  /** Step scaling, because target tracking cannot start from zero tasks and takes no expression. */
  #scaleOut(tasks: ScalableTaskCount, queue: Queue): void {
    tasks.scaleOnMetric("ScaleOut", {
      metric: new MathExpression({
        label: "Backlog per task",
        // With no task running, one waiting message is backlog enough.
        expression: `IF(FILL(running, 0) < 1, IF(waiting > 0, ${backlogPerTaskMax}, 0), waiting / FILL(running, 1))`,
        usingMetrics: {
          waiting: queue.metricApproximateNumberOfMessagesVisible({ period, statistic: "Maximum" }),
          running: this.#runningTasks(),
        },
        period,
      }),
      scalingSteps: [
        { lower: backlogPerTaskMax, change: 1 },
        { lower: 4 * backlogPerTaskMax, change: 3 },
      ],
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      evaluationPeriods: 1,
      cooldown: Duration.minutes(2),
    });
  }

  #scaleIn(tasks: ScalableTaskCount, queue: Queue): void {
    const statistic = "Maximum";
    tasks.scaleOnMetric("ScaleIn", {
      metric: new MathExpression({
        label: "Messages waiting or held, per task",
        // The last task stays while there is any message at all.
        expression:
          "IF(FILL(running, 1) > 1, (waiting + held) / FILL(running, 1), " +
          `IF(waiting + held > 0, ${backlogPerTaskMax}, 0))`,
        usingMetrics: {
          waiting: queue.metricApproximateNumberOfMessagesVisible({ period, statistic }),
          held: queue.metricApproximateNumberOfMessagesNotVisible({ period, statistic }),
          running: this.#runningTasks(),
        },
        period,
      }),
      scalingSteps: [
        { upper: idleMessagesPerTask, change: -1 },
        { lower: backlogPerTaskMax, change: 0 },
      ],
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      evaluationPeriods: idleMinutesBeforeScaleIn,
      cooldown: Duration.minutes(idleMinutesBeforeScaleIn),
    });
  }

  #runningTasks(): Metric {
    return new Metric({
      namespace: "ECS/ContainerInsights",
      metricName: "RunningTaskCount",
      dimensionsMap: {
        ClusterName: this.cluster.clusterName,
        ServiceName: this.service.serviceName,
      },
      statistic: "Average",
      period,
    });
  }
}
