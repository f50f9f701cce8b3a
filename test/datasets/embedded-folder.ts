import path from "node:path";

/** The model that ships with the worker. */
export const embeddedFolder = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
