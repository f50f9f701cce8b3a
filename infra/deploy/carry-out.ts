/**
 * The real deploy, in the order that each step needs the one before: AWS first (the edge needs the queue and its keys),
 * then the cache's namespace, then the edge with its secrets, then the fleet where it has to read new ones
 * (roll-out.ts). Every step may be run again.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import * as z from "zod";
import { type OutputName, outputs, stackName } from "../aws/outputs.ts";
import { outputOf, quietWrangler, runProgram, wrangler } from "../run-program.ts";
import { hasStack, openAwsClients } from "./aws-clients.ts";
import { type AwsSecrets, awsSecrets, KeyPair, rotatedSecret } from "./aws-secrets.ts";
import { cdkOutput, runCdk } from "./cdk.ts";
import { DeployError, type DeploySettings } from "./deploy-settings.ts";
import { edgeConfig } from "./edge-config.ts";
import { rollFleet } from "./fleet.ts";
import { rollOut } from "./roll-out.ts";

const Outputs = z.object({
  [stackName]: z.record(z.string(), z.string()),
});
const Namespaces = z.array(z.object({ id: z.string(), title: z.string() }));
const cacheTitle = "llm-os-cache";

export type CarryOutOptions = {
  /** Make a new callback secret. */
  rotate: boolean;
  print: (line: string) => void;
};

export async function carryOut(settings: DeploySettings, { rotate, print }: CarryOutOptions) {
  const aws = await openAwsClients(settings.AWS_REGION);
  const secrets = awsSecrets(aws.secretsManager);
  mkdirSync(cdkOutput, { recursive: true });
  print("== AWS");
  const isFirst = !(await hasStack(aws, stackName));
  const output = await deployAws(settings, isFirst);
  const stale = await keepStorageKeys(settings, secrets, output("objectStorageKeys"));
  print("== Cloudflare");
  const others = await edgeSecrets(settings, secrets, output);
  const cluster = output("clusterName");
  const services = [output("serviceName"), output("trainingServiceName")];
  const world = {
    secret: rotatedSecret(aws.secretsManager, output("callbackSecret")),
    deployEdge: (accepted: { callback: string; previous: string }) =>
      deployEdge(settings, output, {
        ...others,
        CALLBACK_SECRET: accepted.callback,
        CALLBACK_SECRET_PREVIOUS: accepted.previous,
      }),
    rollFleet: async () => {
      const rolled = await Promise.all(
        services.map((service) => rollFleet(aws.ecs, { cluster, service }, wait)),
      );
      return rolled.every(Boolean);
    },
    print,
  };
  await rollOut(world, { rotate, stale: stale && !isFirst });
  print(`\nThe edge answers at ${settings.LLM_OS_EDGE_URL}.`);
  print(`The operator key is the secret ${output("operatorKey")} in Secrets Manager.`);
}

type OutputOf = (name: OutputName) => string;

/** @param isFirst no task is wanted until the edge is there; later deploys leave the number to the autoscaling */
export function stackParameters(
  settings: DeploySettings,
  isFirst: boolean,
): Record<string, string> {
  return {
    EdgeUrl: settings.LLM_OS_EDGE_URL,
    ObjectStorageEndpoint: settings.S3_ENDPOINT,
    ObjectStorageBucket: settings.S3_BUCKET,
    FirstDeploy: isFirst ? "yes" : "no",
    ObjectStorageRegion: settings.S3_REGION,
  };
}

async function deployAws(settings: DeploySettings, isFirst: boolean): Promise<OutputOf> {
  const file = path.join(cdkOutput, "outputs.json");
  const parameters = stackParameters(settings, isFirst);
  const flags = Object.entries(parameters).flatMap(([name, value]) => [
    "--parameters",
    `${name}=${value}`,
  ]);
  await runCdk([
    "deploy",
    stackName,
    "--require-approval",
    "never",
    "--outputs-file",
    file,
    ...flags,
  ]);
  const values = Outputs.parse(JSON.parse(readFileSync(file, "utf8")))[stackName];
  return (name) => {
    const value = values?.[outputs[name]];
    if (value === undefined) throw new DeployError(`the stack has no output ${outputs[name]}`);
    return value;
  };
}

function objectStorageKeys(settings: DeploySettings): KeyPair {
  return {
    accessKeyId: settings.S3_ACCESS_KEY_ID,
    secretAccessKey: settings.S3_SECRET_ACCESS_KEY,
  };
}

/** @returns whether tasks that run were started with other keys */
async function keepStorageKeys(
  settings: DeploySettings,
  secrets: AwsSecrets,
  name: string,
): Promise<boolean> {
  const keys = JSON.stringify(objectStorageKeys(settings));
  const kept = KeyPair.safeParse(JSON.parse(await secrets.read(name)));
  if (kept.success && JSON.stringify(kept.data) === keys) return false;
  await secrets.write(name, keys);
  return true;
}

/** All but the callback secrets. */
async function edgeSecrets(
  settings: DeploySettings,
  secrets: AwsSecrets,
  output: OutputOf,
): Promise<Record<string, string>> {
  const keys = KeyPair.parse(JSON.parse(await secrets.read(output("edgeKeys"))));
  return {
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    S3_ACCESS_KEY_ID: settings.S3_ACCESS_KEY_ID,
    S3_SECRET_ACCESS_KEY: settings.S3_SECRET_ACCESS_KEY,
    OPERATOR_KEY: await secrets.read(output("operatorKey")),
  };
}

async function deployEdge(
  settings: DeploySettings,
  output: OutputOf,
  secrets: Record<string, string>,
): Promise<void> {
  const config = path.join(cdkOutput, "wrangler.json");
  const secretsFile = path.join(cdkOutput, "edge-secrets.json");
  const addresses = {
    queueUrl: output("queueUrl"),
    trainingQueueUrl: output("trainingQueueUrl"),
    region: settings.AWS_REGION,
    objectStorage: {
      endpoint: settings.S3_ENDPOINT,
      bucket: settings.S3_BUCKET,
      region: settings.S3_REGION,
    },
    cacheNamespaceId: await cacheNamespace(),
  };
  writeFileSync(config, JSON.stringify(edgeConfig(addresses), null, 2));
  writeFileSync(secretsFile, JSON.stringify(secrets), { mode: 0o600 });
  try {
    await runProgram(wrangler, ["deploy", "-c", config, "--secrets-file", secretsFile], {
      env: quietWrangler,
    });
  } finally {
    rmSync(secretsFile, { force: true });
  }
}

/** @returns the id of the cache's namespace, made where it is missing */
async function cacheNamespace(): Promise<string> {
  const known = await findNamespace();
  if (known !== undefined) return known;
  await runProgram(wrangler, ["kv", "namespace", "create", cacheTitle], { env: quietWrangler });
  const made = await findNamespace();
  if (made === undefined) throw new DeployError(`the KV namespace ${cacheTitle} was not made`);
  return made;
}

async function findNamespace(): Promise<string | undefined> {
  const listed = await outputOf(wrangler, ["kv", "namespace", "list"], { env: quietWrangler });
  return Namespaces.parse(JSON.parse(listed)).find(({ title }) => title === cacheTitle)?.id;
}
