/** What the Workers runtime starts: the API and the Durable Objects named in wrangler.toml. */
import { app } from "./app.ts";

export default app;
export { TenantQuota } from "./accounts/tenant-quota.ts";
export { TenantFiles } from "./files/tenant-files.ts";
export { TenantTuning } from "./fine-tuning/tenant-tuning.ts";
export { JobShard } from "./jobs/job-shard.ts";
export { TenantLearning } from "./learning/tenant-learning.ts";
export { TenantPrompts } from "./prompts/tenant-prompts.ts";
export { ModelRegistry } from "./registry/model-registry.ts";
export { TenantResponses } from "./responses/tenant-responses.ts";
export { TunedModels } from "./registry/tuned-models.ts";
