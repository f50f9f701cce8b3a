/** The CDK app, checked by the AwsSolutions rules; synthesises without an account and without a network. */
/* oxlint-disable no-new -- a construct adds itself to its scope */
import { App, type AppProps, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { LlmOsStack } from "./llm-os-stack.ts";
import { stackName } from "./outputs.ts";

export type AppOptions = { region: string; instanceType: string; tasksMax: number };

export function createApp(options: AppOptions, props: AppProps = {}): App {
  const app = new App({
    ...props,
    context: {
      // New accounts cannot make launch configurations, nor new buckets use access lists.
      "@aws-cdk/aws-autoscaling:generateLaunchTemplateInsteadOfLaunchConfig": true,
      "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": true,
    },
  });
  // The region alone: with an account named, synthesis would look zones up.
  new LlmOsStack(app, stackName, {
    env: { region: options.region },
    instanceType: options.instanceType,
    tasksMax: options.tasksMax,
  });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}
