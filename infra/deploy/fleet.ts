/** Replaces the tasks of the ECS service, and waits until it is done. */
import type { ECS } from "@aws-sdk/client-ecs";
import { DeployError } from "./deploy-settings.ts";

export type Fleet = { cluster: string; service: string };

const lookMs = 10_000;
/** An instance takes some minutes to start, and a task that ends has two to finish what it holds. */
const looksMax = 120;

/** @returns whether all tasks are new; false: not in time. @throws DeployError where the new tasks do not start */
export async function rollFleet(
  ecs: Pick<ECS, "updateService" | "describeServices">,
  { cluster, service }: Fleet,
  wait: (milliseconds: number) => Promise<unknown>,
): Promise<boolean> {
  await ecs.updateService({ cluster, service, forceNewDeployment: true });
  for (let look = 0; look < looksMax; look += 1) {
    await wait(lookMs);
    const { services = [] } = await ecs.describeServices({ cluster, services: [service] });
    const [found] = services;
    if (found === undefined) throw new DeployError(`ECS does not know the service ${service}`);
    const [newest, ...older] = found.deployments ?? [];
    if (newest?.rolloutState === "FAILED") {
      throw new DeployError("the new tasks do not start: see the service's events in ECS");
    }
    const counted = found.runningCount === found.desiredCount;
    if (newest?.rolloutState === "COMPLETED" && older.length === 0 && counted) return true;
  }
  return false;
}
