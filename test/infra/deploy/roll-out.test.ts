/**
 * Rotating the callback secret, in a world of an edge, a fleet and Secrets Manager's labels: tasks come at any moment, and the
 * deploy may end after any step.
 */
import { describe, expect, it } from "vitest";
import { awsSecrets, rotatedSecret } from "../../../infra/deploy/aws-secrets.ts";
import { rollFleet } from "../../../infra/deploy/fleet.ts";
import { type RollOutOptions, rollOut } from "../../../infra/deploy/roll-out.ts";

type Version = { value: string; stages: Set<string> };

/** As Secrets Manager keeps a secret: a label is on one version, and what was current becomes the previous one. */
class SecretsManager {
  readonly versions = new Map<string, Version>();
  /** Of values read and calls made, in order. */
  readonly calls: string[] = [];

  constructor(value: string) {
    this.versions.set("v0", { value, stages: new Set(["AWSCURRENT"]) });
  }

  with(stage: string): Version | undefined {
    return [...this.versions.values()].find(({ stages }) => stages.has(stage));
  }

  #label(stage: string, to: string | undefined): void {
    const holder = this.with(stage);
    holder?.stages.delete(stage);
    if (stage === "AWSCURRENT" && holder !== undefined) this.#labelVersion("AWSPREVIOUS", holder);
    const version = to === undefined ? undefined : this.versions.get(to);
    if (version !== undefined) version.stages.add(stage);
  }

  #labelVersion(stage: string, version: Version): void {
    this.with(stage)?.stages.delete(stage);
    version.stages.add(stage);
  }

  async call(_: string, action: string, body: object): Promise<unknown> {
    this.calls.push(action);
    const given: Record<string, unknown> = { ...body };
    switch (action) {
      case "DescribeSecret":
        return {
          VersionIdsToStages: Object.fromEntries(
            [...this.versions].map(([id, { stages }]) => [id, [...stages]]),
          ),
        };
      case "GetSecretValue": {
        const id = given["VersionId"];
        const version = id === undefined ? this.with("AWSCURRENT") : this.versions.get(String(id));
        return { SecretString: version?.value };
      }
      case "PutSecretValue": {
        const id = `v${this.versions.size}`;
        this.versions.set(id, { value: String(given["SecretString"]), stages: new Set() });
        const [stage = "AWSCURRENT"] = (given["VersionStages"] as string[] | undefined) ?? [];
        this.#label(stage, id);
        return {};
      }
      case "UpdateSecretVersionStage":
        this.#label(String(given["VersionStage"]), given["MoveToVersionId"] as string | undefined);
        return {};
      default:
        throw new Error(`no ${action} here`);
    }
  }
}

class World {
  readonly manager = new SecretsManager("first");
  accepted: string[] = ["first"];
  /** The secret that each task was started with. */
  tasks: string[] = ["first", "first"];
  /** Steps after which the deploy ends, as if the machine had been switched off. */
  endsAfter = Infinity;
  rollsInTime = true;
  edgeDeploys = 0;
  rolls = 0;
  #steps = 0;

  /** After every step the autoscaling starts a task, and every task posts to the edge. */
  #step(): void {
    this.tasks.push(this.manager.with("AWSCURRENT")?.value ?? "");
    const refused = this.tasks.filter((secret) => !this.accepted.includes(secret));
    expect(refused).toEqual([]);
    this.#steps += 1;
    if (this.#steps >= this.endsAfter) throw new Error("switched off");
  }

  async deploy(options: Partial<RollOutOptions> = {}): Promise<void> {
    this.#steps = 0;
    const api = {
      call: async (service: string, action: string, body: object) => {
        const answer = await this.manager.call(service, action, body);
        if (!/^(Get|Describe)/.test(action)) this.#step();
        return answer;
      },
      hasStack: async () => true,
    };
    await rollOut(
      {
        secret: rotatedSecret(api, "callback"),
        deployEdge: async ({ callback, previous }) => {
          this.accepted = [callback, previous];
          this.edgeDeploys += 1;
          this.#step();
        },
        rollFleet: async () => {
          this.rolls += 1;
          if (!this.rollsInTime) return false;
          const now = this.manager.with("AWSCURRENT")?.value ?? "";
          this.tasks = this.tasks.map(() => now);
          this.#step();
          return true;
        },
        print: () => undefined,
      },
      { rotate: false, stale: false, ...options },
    );
  }

  /** One secret everywhere, and none other in waiting or out of use. */
  expectSettled(): string {
    const now = this.manager.with("AWSCURRENT")?.value ?? "";
    expect(new Set(this.accepted)).toEqual(new Set([now]));
    expect(new Set(this.tasks)).toEqual(new Set([now]));
    // The label may stay with what it was for.
    expect(this.manager.with("AWSPENDING")?.value ?? now).toBe(now);
    expect(this.manager.with("AWSPREVIOUS")).toBeUndefined();
    return now;
  }
}

describe("a deploy", () => {
  it("leaves secrets and tasks as they are where nothing is to be rotated", async () => {
    const world = new World();
    await world.deploy();
    expect(world.expectSettled()).toBe("first");
    expect([world.edgeDeploys, world.rolls]).toEqual([1, 0]);
  });

  it("replaces the tasks where they have other keys to read", async () => {
    const world = new World();
    await world.deploy({ stale: true });
    expect(world.rolls).toBe(1);
    expect(world.expectSettled()).toBe("first");
  });

  it("rotates the callback secret without refusing a task at any moment", async () => {
    const world = new World();
    await world.deploy({ rotate: true });
    const next = world.expectSettled();
    expect(next).not.toBe("first");
    expect(next).toMatch(/^[\w-]{48}$/);
  });

  it("goes on after an end at any step, and settles", async () => {
    for (let endsAfter = 1; endsAfter <= 8; endsAfter += 1) {
      const world = new World();
      world.endsAfter = endsAfter;
      const ended = await world.deploy({ rotate: true }).then(
        () => false,
        (error: Error) => error.message === "switched off",
      );
      world.endsAfter = Infinity;
      await world.deploy();
      expect(world.expectSettled()).not.toBe("first");
      if (!ended) {
        // As many steps as a rotation has: the loop has seen them all.
        expect(endsAfter).toBeGreaterThan(6);
        return;
      }
    }
    throw new Error("a rotation has more steps than this test ends it after");
  });

  it("keeps the old secret at the edge while tasks with it run, and forgets it once they are gone", async () => {
    const world = new World();
    world.rollsInTime = false;
    await world.deploy({ rotate: true });
    expect(world.accepted).toContain("first");
    world.rollsInTime = true;
    await world.deploy();
    expect(world.expectSettled()).not.toBe("first");
  });

  it("ends one rotation before it begins another", async () => {
    const world = new World();
    world.rollsInTime = false;
    await world.deploy({ rotate: true });
    const second = world.manager.with("AWSCURRENT")?.value;
    await world.deploy({ rotate: true });
    expect(world.manager.with("AWSCURRENT")?.value).toBe(second);
    world.rollsInTime = true;
    await world.deploy({ rotate: true });
    expect(world.expectSettled()).not.toBe(second);
  });

  it("takes up a secret that was replaced by hand", async () => {
    const world = new World();
    const api = { call: world.manager.call.bind(world.manager), hasStack: async () => true };
    await awsSecrets(api).write("callback", "by hand");
    await world.deploy();
    expect(world.expectSettled()).toBe("by hand");
  });
});

type Service = { desiredCount: number; runningCount: number; deployments: object[] };
const fleet = { cluster: "cluster", service: "service" };
const service = (running: number, ...states: string[]): Service => ({
  desiredCount: 2,
  runningCount: running,
  deployments: states.map((rolloutState) => ({ rolloutState })),
});

/** ECS, described as it goes on. */
function ecs(looks: Service[]) {
  const asked: object[] = [];
  const call = async (_: string, action: string, body: object) => {
    if (action === "UpdateService") asked.push(body);
    const [next] = looks.length > 1 ? looks.splice(0, 1) : looks;
    return action === "UpdateService" ? {} : { services: [next] };
  };
  return { asked, roll: () => rollFleet({ call }, fleet, () => Promise.resolve()) };
}

describe("replacing the tasks", () => {
  it("forces a deployment, and waits until the last old task has gone", async () => {
    const { asked, roll } = ecs([
      service(2, "IN_PROGRESS", "COMPLETED"),
      service(2, "IN_PROGRESS", "COMPLETED"),
      service(3, "COMPLETED", "COMPLETED"),
      service(2, "COMPLETED"),
    ]);
    expect(await roll()).toBe(true);
    expect(asked).toEqual([{ ...fleet, forceNewDeployment: true }]);
  });

  it("says so where it takes too long, and where the new tasks do not start", async () => {
    expect(await ecs([service(2, "IN_PROGRESS", "COMPLETED")]).roll()).toBe(false);
    await expect(ecs([service(2, "FAILED", "COMPLETED")]).roll()).rejects.toThrow(/do not start/);
  });
});
