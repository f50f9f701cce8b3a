/**
 * What a real deploy needs to be told, by the environment; what is missing is named together with where it comes from.
 */
import * as z from "zod";

const help = {
  LLM_OS_EDGE_URL: "where the edge will answer, such as https://llm-os-edge.NAME.workers.dev",
  CLOUDFLARE_ACCOUNT_ID: "the account the edge is deployed to",
  CLOUDFLARE_API_TOKEN: "an API token that may edit Workers scripts and KV storage",
  S3_ENDPOINT: "the S3 API of an R2 account, https://ACCOUNT.r2.cloudflarestorage.com",
  S3_BUCKET: "an R2 bucket for callers' files and large documents",
  S3_ACCESS_KEY_ID: "an R2 access key that may read and write that bucket",
  S3_SECRET_ACCESS_KEY: "the secret of that key",
} as const;

const DeploySettings = z.object({
  LLM_OS_EDGE_URL: z.url({ protocol: /^https$/ }),
  CLOUDFLARE_ACCOUNT_ID: z.string().min(1),
  CLOUDFLARE_API_TOKEN: z.string().min(1),
  S3_ENDPOINT: z.url({ protocol: /^https$/ }),
  S3_BUCKET: z.string().min(1),
  S3_ACCESS_KEY_ID: z.string().min(1),
  S3_SECRET_ACCESS_KEY: z.string().min(1),
  /** R2's only one; another S3 store has its own. */
  S3_REGION: z.string().min(1).default("auto"),
  AWS_REGION: z.string().default("us-east-1"),
});
export type DeploySettings = z.infer<typeof DeploySettings>;

/** What cannot be carried out, in words for the operator. */
export class DeployError extends Error {}

/** @throws DeployError naming every variable that is missing or malformed */
export function readDeploySettings(
  env: Readonly<Record<string, string | undefined>>,
): DeploySettings {
  const parsed = DeploySettings.safeParse(env);
  if (parsed.success) return parsed.data;
  const wrong = new Set(parsed.error.issues.map(({ path }) => String(path[0])));
  const lines = Object.entries(help).flatMap(([name, text]) =>
    wrong.has(name) ? [`  ${name}: ${text}`] : [],
  );
  throw new DeployError(
    `set these, then run it again (or see the plan with --dry-run):\n${lines.join("\n")}`,
  );
}
