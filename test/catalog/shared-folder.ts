/** The folder of reference models and answers beside the repository, null where a machine has none. */
import { existsSync } from "node:fs";
import path from "node:path";

const beside = path.resolve(import.meta.dirname, "../../../shared");

export const sharedFolder = existsSync(path.join(beside, "models/references")) ? beside : null;

if (sharedFolder === null) {
  console.info("Skipped: tests against ../shared/models, which is not on this machine");
}
