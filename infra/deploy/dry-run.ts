/** Prints both plans whole, and changes nothing: no account, no credentials, no network. */
import path from "node:path";
import { stackName } from "../aws/outputs.ts";
import { root, runProgram, wrangler, wranglerHome } from "../run-program.ts";
import { cdkOutput, runCdk } from "./cdk.ts";

export async function dryRun(print: (line: string) => void): Promise<void> {
  print("== AWS: the CloudFormation template of cdk synth");
  await runCdk(["synth", stackName]);
  print("\n== Cloudflare: wrangler deploy --dry-run");
  const outdir = path.join(cdkOutput, "edge");
  await runProgram(
    wrangler,
    ["deploy", "--dry-run", "-c", path.join(root, "wrangler.toml"), "--outdir", outdir],
    { env: wranglerHome(cdkOutput) },
  );
  print("\nNothing was changed. Without --dry-run both plans are carried out.");
}
