/**
 * Keeps an ECS task from being scaled in or replaced while it is at a job, by the endpoint that ECS gives each task
 * (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html).
 */
import type { Log } from "../telemetry/log.ts";

/** @param minutes after which it lapses, were its end never told; 0: it ends */
export type ProtectTask = (minutes: number) => Promise<void>;

/** ECS takes no more. */
const minutesMax = 48 * 60;
const requestMs = 5_000;

/** @param agentUrl null: this is no ECS task, and nothing has to be kept from ending it */
export function taskProtection(agentUrl: string | null, log: Log): ProtectTask {
  if (agentUrl === null) return () => Promise.resolve();
  return async (minutes) => {
    const ExpiresInMinutes = Math.min(minutesMax, Math.ceil(minutes));
    const body =
      minutes > 0 ? { ProtectionEnabled: true, ExpiresInMinutes } : { ProtectionEnabled: false };
    try {
      const answer = await fetch(`${agentUrl}/task-protection/v1/state`, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(requestMs),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`the ECS agent answered ${answer.status}: ${text}`);
    } catch (error) {
      // Unprotected, its job is handed back when it is ended.
      log.warn({ error, minutes }, "this task's protection could not be set");
    }
  };
}
