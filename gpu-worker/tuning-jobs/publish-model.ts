/** A tuned model to the bucket: the files that serve it, described for those who fetch them, and its report's. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { tunedModelBounds, type TunedModel } from "#contract/training/tuned-model.ts";
import type { TunedModelFile } from "#contract/training/tuned-model.ts";
import type { TuningOrder, TuningResultFile } from "#contract/training/tuning-job.ts";
import type { BaseModel } from "../catalog/base-model.ts";
import { adapterLimits } from "../catalog/load-adapter.ts";
import { isAdapter, type ModelFolder, readModelFolder } from "../checkpoints/model-folder.ts";
import type { UploadFile } from "../jobs/object-upload.ts";
import { TuningError } from "../training/tuning-error.ts";

export type Publication = {
  readonly order: Pick<TuningOrder, "name" | "modelPrefix" | "resultPrefix">;
  readonly base: BaseModel;
  /** Of the tuned model. */
  readonly folder: string;
  readonly upload: UploadFile;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly signal: AbortSignal;
};

export type Published = { readonly model: TunedModel; readonly resultFiles: TuningResultFile[] };

const resultTypes: Readonly<Record<string, string>> = {
  "metrics.csv": "text/csv; charset=utf-8",
  "report.json": "application/json",
  "report.html": "text/html; charset=utf-8",
};

function typeOf(name: string): string {
  if (name.endsWith(".json")) return "application/json";
  return name.endsWith(".md") ? "text/markdown; charset=utf-8" : "application/octet-stream";
}

/** Below the folder, with `/`. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.relative(folder, path.join(parentPath, name)))
    .map((name) => name.split(path.sep).join("/"))
    .toSorted();
}

/** Of all files, as the contract says. */
function digestOf(files: readonly TunedModelFile[]): string {
  const hash = createHash("sha256");
  const byPath = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path: name, object } of byPath) hash.update(`${object.sha256}  ${name}\n`);
  return hash.digest("hex");
}

/** As the catalogue announces such a folder. */
async function describe(folder: string, { known, folder: baseFolder }: BaseModel) {
  const { prompts } = known.manifest ?? {};
  const base = await readModelFolder(baseFolder, { prompts });
  const tuned: ModelFolder = await readModelFolder(folder);
  const licence = tuned.licence ?? base.licence ?? known.manifest?.licence ?? null;
  const of = { tasks: tuned.tasks, licence: licence?.slice(0, 100) ?? null };
  if (!isAdapter(tuned)) return { ...of, kind: "checkpoint" as const, limits: tuned.limits };
  if (isAdapter(base)) throw new TuningError(`${known.id} is an adapter: tune its base`);
  const limits = adapterLimits(tuned.adapter, base.limits);
  // A decoder's base says whether it takes conversations.
  const tasks = of.tasks.filter((task) => base.kind === "encoder" || base.tasks.includes(task));
  return { ...of, tasks, kind: "adapter" as const, limits };
}

/** @throws TuningError for a model that is too large; Error where a file cannot be sent; the signal's reason */
export async function publishModel(publication: Publication): Promise<Published> {
  const { order, base, folder, upload, now, signal } = publication;
  const described = await describe(folder, base);
  const files: TunedModelFile[] = [];
  const resultFiles: TuningResultFile[] = [];
  for (const name of await filesIn(folder)) {
    const resultType = resultTypes[name];
    const prefix = resultType === undefined ? order.modelPrefix : order.resultPrefix;
    const contentType = resultType ?? typeOf(name);
    const target = { key: `${prefix}${name}`, contentType };
    const object = await upload(path.join(folder, name), target, signal);
    if (resultType === undefined) files.push({ path: name, object });
    else resultFiles.push({ filename: name, contentType, object });
  }
  const bytes = files.reduce((sum, { object }) => sum + object.bytes, 0);
  if (bytes > tunedModelBounds.bytesMax) {
    throw new TuningError(
      `the tuned model has ${bytes} bytes, and may have ${tunedModelBounds.bytesMax}`,
    );
  }
  const { name } = order;
  const digest = digestOf(files);
  const model = { name, digest, files, base: base.known.id, ...described, bytes, createdAt: now };
  return { model, resultFiles };
}
