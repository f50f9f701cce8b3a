/**
 * `npm run model -- list`: every model this machine knows of, where its files are, and what is wrong with those that
 * cannot be served. Looks at folders alone: nothing is fetched, loaded or hashed.
 */
import { type KnownModel, listKnownModels, presentFolder } from "../catalog/known-models.ts";
import { readModelFolder } from "../checkpoints/model-folder.ts";
import { formatTable } from "./table.ts";

export type ListedModel = {
  id: string;
  status: "here" | "not fetched" | "cannot be served";
  tasks: readonly string[];
  licence: string | null;
  megabytes: number | null;
  /** The folder of its files, or what is wrong with them. */
  detail: string;
};

async function describe(known: KnownModel, stateFolder: string): Promise<ListedModel> {
  const { id, manifest } = known;
  const licence = manifest?.licence ?? null;
  const tasks = manifest?.tasks ?? [];
  const folder = await presentFolder(known, stateFolder);
  if (folder === null) {
    const detail = `npm run model -- fetch ${id}`;
    return { id, status: "not fetched", tasks, licence, megabytes: null, detail };
  }
  try {
    const model = await readModelFolder(folder);
    const megabytes = Math.round(model.sizeBytes / 1e6);
    const own = { tasks: model.tasks, licence: licence ?? model.licence };
    return { id, status: "here", ...own, megabytes, detail: folder };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const detail = `${folder}: ${why}`;
    return { id, status: "cannot be served", tasks, licence, megabytes: null, detail };
  }
}

/** @returns the models, and a warning where the operator's folder cannot be read */
export async function listModels(settings: { stateFolder: string; modelsFolder: string | null }) {
  const { models, problem } = await listKnownModels(settings.modelsFolder);
  const listed = await Promise.all(models.map((known) => describe(known, settings.stateFolder)));
  return { models: listed, problem };
}

/** The list as lines of a table. */
export function formatModels(models: readonly ListedModel[]): string {
  const rows = models.map((model) => [
    model.id,
    model.status,
    model.megabytes === null ? "-" : `${model.megabytes} MB`,
    model.licence ?? "-",
    model.detail,
  ]);
  return formatTable(["MODEL", "STATUS", "WEIGHTS", "LICENCE", "WHERE"], rows);
}
