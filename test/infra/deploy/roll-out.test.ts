/**
 * Rotating the callback secret, in a world of an edge, a fleet and Secrets Manager's labels: tasks come at any moment,
 * and the deploy may end after any step.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { DeploymentRolloutState, Service } from "@aws-sdk/client-ecs";
import { SecretsManager } from "@aws-sdk/client-secrets-manager";
import { describe, expect, it, onTestFinished } from "vitest";
import * as z from "zod";
import { awsSecrets, rotatedSecret } from "../../../infra/deploy/aws-secrets.ts";
import { rollFleet } from "../../../infra/deploy/fleet.ts";
import { type RollOutOptions, rollOut } from "../../../infra/deploy/roll-out.ts";

type Version = { value: string; stages: Set<string> };

const Body = z.object({
  SecretString: z.string().optional(),
  VersionId: z.string().optional(),
  VersionStage: z.string().default(""),
  VersionStages: z.array(z.string()).default(["AWSCURRENT"]),
  MoveToVersionId: z.string().optional(),
});

/** As Secrets Manager keeps a secret: a label is on one version, and what was current becomes the previous one. */
class SecretVersions {
  readonly versions = new Map<string, Version>();

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

  call(action: string, body: unknown): object {
    const given = Body.parse(body);
    switch (action) {
      case "DescribeSecret": {
        const stages = [...this.versions].map(([id, version]) => [id, [...version.stages]]);
        return { VersionIdsToStages: Object.fromEntries(stages) };
      }
      case "GetSecretValue": {
        const { VersionId: id } = given;
        const version = id === undefined ? this.with("AWSCURRENT") : this.versions.get(id);
        return { SecretString: version?.value };
      }
      case "PutSecretValue": {
        const id = `v${this.versions.size}`;
        this.versions.set(id, { value: given.SecretString ?? "", stages: new Set() });
        for (const stage of given.VersionStages) this.#label(stage, id);
        return {};
      }
      case "UpdateSecretVersionStage":
        this.#label(given.VersionStage, given.MoveToVersionId);
        return {};
      default:
        throw new Error(`no ${action} here`);
    }
  }
}

/**
 * The SDK's client of a service that answers on loopback as `answer` does; what that throws is refused in its words.
 */
async function clientOf(
  answer: (action: string, body: unknown) => object,
): Promise<SecretsManager> {
  const server = createServer(async (request, response) => {
    const action = String(request.headers["x-amz-target"]).replace("secretsmanager.", "");
    const body: unknown = JSON.parse(await text(request));
    response.setHeader("content-type", "application/x-amz-json-1.1");
    try {
      response.end(JSON.stringify(answer(action, body)));
    } catch (error) {
      response.statusCode = 400;
      response.end(JSON.stringify({ message: error instanceof Error ? error.message : "" }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return new SecretsManager({
    endpoint: `http://127.0.0.1:${port}`,
    region: "eu-central-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
}

class World {
  readonly manager = new SecretVersions("first");
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
    const client = await clientOf((action, body) => {
      const answer = this.manager.call(action, body);
      if (!/^(Get|Describe)/.test(action)) this.#step();
      return answer;
    });
    await rollOut(
      {
        secret: rotatedSecret(client, "callback"),
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
    const secrets = awsSecrets(await clientOf((action, body) => world.manager.call(action, body)));
    await secrets.write("callback", "by hand");
    expect(await secrets.read("callback")).toBe("by hand");
    await world.deploy();
    expect(world.expectSettled()).toBe("by hand");
  });
});

const fleet = { cluster: "cluster", service: "service" };
const service = (running: number, ...states: DeploymentRolloutState[]): Service => ({
  desiredCount: 2,
  runningCount: running,
  deployments: states.map((rolloutState) => ({ rolloutState })),
});

/** ECS, described as it goes on. */
function ecs(looks: Service[]) {
  const asked: object[] = [];
  const $metadata = {};
  const client = {
    updateService: async (input: object) => {
      asked.push(input);
      return { $metadata };
    },
    describeServices: async () => {
      const [next = {}] = looks.length > 1 ? looks.splice(0, 1) : looks;
      return { $metadata, services: [next] };
    },
  };
  return { asked, roll: () => rollFleet(client, fleet, () => Promise.resolve()) };
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
