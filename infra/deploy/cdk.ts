/** cdk on our app, with everything it writes kept under cdk.out. */
import path from "node:path";
import process from "node:process";
import { cdk, root, runProgram } from "../run-program.ts";

export const cdkOutput = path.join(root, "cdk.out");

/** @param args command, stack and flags; the template of a synthesis goes to the terminal */
export function runCdk(args: string[]): Promise<void> {
  const app = `"${process.execPath}" app.ts`;
  return runProgram(cdk, [...args, "--app", app, "--output", cdkOutput, "--no-notices"], {
    cwd: path.join(root, "infra", "aws"),
    env: {
      CDK_HOME: path.join(cdkOutput, "home"),
      CDK_DISABLE_CLI_TELEMETRY: "true",
      CDK_DISABLE_VERSION_CHECK: "true",
    },
  });
}
