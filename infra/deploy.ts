/** `npm run deploy`: the whole platform to AWS and Cloudflare; with --dry-run, what that would be. */
import process from "node:process";
import { Command } from "commander";
import { awsRefusal } from "./deploy/aws-clients.ts";
import { carryOut } from "./deploy/carry-out.ts";
import { DeployError, readDeploySettings } from "./deploy/deploy-settings.ts";
import { dryRun } from "./deploy/dry-run.ts";

function print(line: string): void {
  console.log(line);
}

const program = new Command("npm run deploy --")
  .description("Deploys queue, workers and edge to an AWS and a Cloudflare account.")
  .option("--dry-run", "print both plans whole and change nothing", false)
  .option("--rotate-callback-secret", "make a new secret for what workers post to the edge", false)
  .parse();

try {
  const { dryRun: planOnly, rotateCallbackSecret: rotate } = program.opts<{
    dryRun: boolean;
    rotateCallbackSecret: boolean;
  }>();
  await (planOnly ? dryRun(print) : carryOut(readDeploySettings(process.env), { rotate, print }));
} catch (error) {
  const problem = error instanceof DeployError ? error.message : awsRefusal(error);
  console.error(problem === null ? error : `deploy: ${problem}`);
  process.exit(1);
}
