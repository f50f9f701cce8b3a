/** Replaces the tasks of the ECS service, and waits until it is done. */
import * as z from "zod";
import type { AwsApi } from "./aws-api.ts";
import { DeployError } from "./deploy-settings.ts";

const Services = z.object({
  services: z
    .array(
      z.object({
        desiredCount: z.int(),
        runningCount: z.int(),
        deployments: z.array(z.object({ rolloutState: z.string().optional() })),
      }),
    )
    .length(1),
});

export type Fleet = { cluster: string; service: string };

const lookMs = 10_000;
/** An instance takes some minutes to start, and a task that ends has two to finish what it holds. */
const looksMax = 120;

/** @returns whether all tasks are new; false: not in time. @throws DeployError where the new tasks do not start */
export async function rollFleet(
  { call }: Pick<AwsApi, "call">,
  { cluster, service }: Fleet,
  wait: (milliseconds: number) => Promise<unknown>,
): Promise<boolean> {
  await call("ecs", "UpdateService", { cluster, service, forceNewDeployment: true });
  for (let look = 0; look < looksMax; look += 1) {
    await wait(lookMs);
    const described = Services.parse(
      await call("ecs", "DescribeServices", { cluster, services: [service] }),
    );
    const [found] = described.services;
    const [newest, ...older] = found?.deployments ?? [];
    if (newest?.rolloutState === "FAILED") {
      throw new DeployError("the new tasks do not start: see the service's events in ECS");
    }
    const counted = found?.runningCount === found?.desiredCount;
    if (newest?.rolloutState === "COMPLETED" && older.length === 0 && counted) return true;
  }
  return false;
}
