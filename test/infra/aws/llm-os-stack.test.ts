/** The AWS half, read back from the template it synthesises to, offline. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Match, Template } from "aws-cdk-lib/assertions";
import { Stack } from "aws-cdk-lib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { queueNames, queueNumbers } from "#contract/queue.ts";
import { createApp } from "../../../infra/aws/create-app.ts";
import { outputs, stackName } from "../../../infra/aws/outputs.ts";

const Statements = z.array(
  z.object({ Action: z.union([z.string(), z.array(z.string())]), Resource: z.unknown() }),
);
const Policy = z.object({
  Properties: z.object({ PolicyDocument: z.object({ Statement: Statements }) }),
});

const Definition = z.object({
  Properties: z.object({
    ContainerDefinitions: z
      .array(
        z.object({
          StopTimeout: z.int(),
          Environment: z.array(z.object({ Name: z.string(), Value: z.unknown() })),
        }),
      )
      .length(1),
  }),
});

let outdir: string;
let template: Template;

beforeAll(() => {
  outdir = mkdtempSync(path.join(tmpdir(), "llm-os-cdk-"));
  const app = createApp(
    { region: "eu-west-1", instanceType: "g6.xlarge", tasksMax: 5 },
    { outdir },
  );
  // Throws where a rule of cdk-nag's AwsSolutions is neither kept nor answered for.
  app.synth();
  template = Template.fromStack(Stack.of(app.node.findChild(stackName)));
});

afterAll(() => rmSync(outdir, { recursive: true, force: true }));

/** Actions that the policies whose logical id starts with `prefix` allow, each once. */
function actionsOf(prefix: string): string[] {
  const policies = Object.entries(template.findResources("AWS::IAM::Policy"));
  const actions = policies
    .filter(([id]) => id.startsWith(prefix))
    .flatMap(([, policy]) => Policy.parse(policy).Properties.PolicyDocument.Statement)
    .flatMap(({ Action }) => Action);
  return [...new Set(actions)].toSorted();
}

function stepScaling(adjustments: object[]) {
  return {
    PolicyType: "StepScaling",
    StepScalingPolicyConfiguration: { StepAdjustments: adjustments.map(Match.objectLike) },
  };
}

describe("a queue", () => {
  it.each([
    [queueNames.jobs, queueNames.deadLetter],
    [queueNames.training, queueNames.trainingDeadLetter],
  ])(
    "%s has the contract's numbers and hands what fails to its dead-letter queue",
    (name, dead) => {
      template.hasResourceProperties("AWS::SQS::Queue", {
        QueueName: name,
        VisibilityTimeout: queueNumbers.visibilityTimeoutSeconds,
        MessageRetentionPeriod: queueNumbers.retentionSeconds,
        RedrivePolicy: { maxReceiveCount: queueNumbers.maxReceiveCount },
      });
      template.hasResourceProperties("AWS::SQS::Queue", {
        QueueName: dead,
        MessageRetentionPeriod: queueNumbers.deadLetterRetentionSeconds,
      });
    },
  );

  it("raises an alarm for a dead letter and for a message that waits", () => {
    template.hasResourceProperties("AWS::CloudWatch::Alarm", {
      MetricName: "ApproximateAgeOfOldestMessage",
      AlarmActions: [Match.anyValue()],
    });
    // Workers delete dead letters, so the queue's length alone would show none.
    template.hasResourceProperties("AWS::CloudWatch::Alarm", {
      Metrics: Match.arrayWith([
        Match.objectLike({
          Expression: "FILL(deleted, 0) + FILL(visible, 0) + FILL(hidden, 0)",
        }),
      ]),
      AlarmActions: [Match.anyValue()],
    });
  });
});

describe("the fleet", () => {
  it("scales instances and tasks between none and the limit", () => {
    template.hasResourceProperties("AWS::AutoScaling::AutoScalingGroup", {
      MinSize: "0",
      MaxSize: "5",
    });
    template.hasResourceProperties("AWS::ApplicationAutoScaling::ScalableTarget", {
      MinCapacity: 0,
      MaxCapacity: 5,
    });
  });

  it("wants no task at the first deploy, and leaves a running fleet its number at every later one", () => {
    template.hasParameter("FirstDeploy", { Default: "no", AllowedValues: ["yes", "no"] });
    const [condition = ""] = Object.keys(
      template.findConditions("*", { "Fn::Equals": [{ Ref: "FirstDeploy" }, "yes"] }),
    );
    const desired = { "Fn::If": [condition, 0, { Ref: "AWS::NoValue" }] };
    template.allResourcesProperties("AWS::ECS::Service", { DesiredCount: desired });
    template.resourceCountIs("AWS::ECS::Service", 2);
  });

  it("has the worker drain in the time that the container is given, and hand back in what is left", () => {
    const definitions = Object.entries(template.findResources("AWS::ECS::TaskDefinition"));
    const [, definition] = definitions.find(([id]) => id.startsWith("Fleet")) ?? [];
    const [worker] = Definition.parse(definition).Properties.ContainerDefinitions;
    const variables = new Map(worker?.Environment.map(({ Name, Value }) => [Name, Value]));
    const drain = Number(variables.get("LLM_OS_DRAIN_SECONDS"));
    const stop = worker?.StopTimeout ?? NaN;
    expect(drain).toBeGreaterThan(60);
    expect(drain + queueNumbers.handBackSeconds).toBeLessThanOrEqual(stop);
    // The most that ECS takes, and what a spot instance is given.
    expect(stop).toBeLessThanOrEqual(120);
    expect(variables.get("LLM_OS_DEVICE")).toBe("cuda");
  });

  it("adds a task on backlog per task, from none too, and takes one away when idle", () => {
    template.hasResourceProperties(
      "AWS::ApplicationAutoScaling::ScalingPolicy",
      stepScaling([{ ScalingAdjustment: 1 }, { ScalingAdjustment: 3 }]),
    );
    template.hasResourceProperties(
      "AWS::ApplicationAutoScaling::ScalingPolicy",
      stepScaling([{ ScalingAdjustment: -1 }]),
    );
    template.hasResourceProperties("AWS::CloudWatch::Alarm", {
      Metrics: Match.arrayWith([
        Match.objectLike({ Expression: Match.stringLikeRegexp("FILL\\(running, 0\\) < 1") }),
      ]),
    });
  });

  it("runs the worker on one GPU, without secrets in its environment", () => {
    template.hasResourceProperties("AWS::ECS::TaskDefinition", {
      ContainerDefinitions: [
        Match.objectLike({
          ResourceRequirements: [{ Type: "GPU", Value: "1" }],
          ReadonlyRootFilesystem: true,
          StopTimeout: 110,
          Environment: Match.arrayWith([Match.objectLike({ Name: "SQS_DEAD_LETTER_URL" })]),
          Secrets: Match.arrayWith([
            Match.objectLike({ Name: "LLM_OS_CALLBACK_SECRET" }),
            Match.objectLike({ Name: "S3_SECRET_ACCESS_KEY" }),
          ]),
        }),
      ],
    });
  });
});

describe("training", () => {
  it("runs the workers' image with another command and without a GPU, scaled from none", () => {
    template.hasResourceProperties("AWS::ECS::TaskDefinition", {
      RequiresCompatibilities: ["FARGATE"],
      ContainerDefinitions: [
        Match.objectLike({
          Command: ["node", "gpu-worker/train.ts"],
          ReadonlyRootFilesystem: true,
          ResourceRequirements: Match.absent(),
          Environment: Match.arrayWith([Match.objectLike({ Name: "SQS_TRAINING_QUEUE_URL" })]),
          Secrets: Match.arrayWith([Match.objectLike({ Name: "LLM_OS_CALLBACK_SECRET" })]),
        }),
      ],
    });
    template.allResourcesProperties("AWS::ApplicationAutoScaling::ScalableTarget", {
      MinCapacity: 0,
      MaxCapacity: 5,
    });
    template.hasResourceProperties(
      "AWS::ApplicationAutoScaling::ScalingPolicy",
      stepScaling([{ ScalingAdjustment: 1 }, { ScalingAdjustment: 2 }]),
    );
  });

  it("takes messages and protects its own task, and does nothing else", () => {
    expect(actionsOf("TrainingTaskTaskRole")).toEqual([
      "ecs:GetTaskProtection",
      "ecs:UpdateTaskProtection",
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
    ]);
  });
});

describe("keys", () => {
  it("let the edge send to the queues and do nothing else", () => {
    expect(actionsOf("EdgeUser")).toEqual(["sqs:SendMessage"]);
  });

  it("let the worker take messages and read models, and do nothing else", () => {
    expect(actionsOf("FleetTaskDefinitionTaskRole")).toEqual([
      "s3:GetObject",
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
    ]);
  });

  it("are found by the deploy among the outputs", () => {
    for (const name of Object.values(outputs)) template.hasOutput(name, {});
  });
});
