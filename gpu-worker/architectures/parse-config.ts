/**
 * A checkpoint's config.json, parsed by a family's schema.
 */
import * as z from "zod";

/** A config we cannot build from; the message says which field and why. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}

/** What tells a checkpoint's family and head. */
export const FamilyConfig = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
});

/** @throws ConfigError that names the first field that is wrong */
export function parseConfig<T>(schema: z.ZodType<T>, config: unknown): T {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError(`config.json: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`);
}
