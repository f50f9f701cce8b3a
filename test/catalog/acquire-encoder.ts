/** An encoder of the catalog, loaded, under its own type. */
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import type { LoadedEncoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { encoderFor } from "../../gpu-worker/model/served-model.ts";

export async function acquireEncoder(catalog: Catalog, id: string): Promise<LoadedEncoder> {
  const model = await catalog.acquire(id, new AbortController().signal);
  return encoderFor(model.tasks[0] ?? "feature-extraction", model);
}
