/**
 * The order of test files. Those that take longest begin first, so that none is left to run alone at the end: Vitest
 * itself knows how long a file takes only where an earlier run was kept; without one, as in CI, it goes by the file's
 * size. Those of whole stacks, which wait for much of their time, are spread among those that compute.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Those of a quarter of a minute and more on two cores, the longest first. */
const longest: readonly string[] = [
  "test/e2e/fine-tuning.test.ts",
  "test/e2e/chat-crash.test.ts",
  "test/e2e/hostile.test.ts",
  "test/architectures/smollm2-forms.test.ts",
  "test/jobs/memory.test.ts",
  "test/training/tune-texts.test.ts",
  "test/training/references.test.ts",
  "test/e2e/crash.test.ts",
  "test/tuning-jobs/tuning-worker.test.ts",
  "test/grammar/hostile.test.ts",
  "test/e2e/chat-clients.test.ts",
  "test/e2e/jobs.test.ts",
  "test/catalog/memory.test.ts",
  "test/e2e/streams.test.ts",
  "test/runtime/whole-process.test.ts",
  "test/jobs/largest-requests.test.ts",
  "test/e2e/tools.test.ts",
  "test/pipelines/smollm2.test.ts",
  "test/e2e/edge-memory.test.ts",
  "test/training/tune-crash.test.ts",
  "test/e2e/lost-jobs.test.ts",
  "test/cli/model.test.ts",
  "test/checkpoints/library-checkpoints.test.ts",
  "test/compute-form/decoder-forms.test.ts",
  "test/training/tune-tokens.test.ts",
  "test/e2e/clients.test.ts",
  "test/e2e/tasks.test.ts",
  "test/training/tune-similar.test.ts",
];

const root = path.resolve(import.meta.dirname, "..");

/** How many files are to begin before it. */
function place({ moduleId }: Pick<TestSpecification, "moduleId">): number {
  const at = longest.indexOf(path.relative(root, moduleId).replaceAll(path.sep, "/"));
  return at < 0 ? longest.length : at;
}

/** @throws where a file was renamed or removed, and the list was not told */
function expectAll(): void {
  const missing = longest.filter((file) => !existsSync(path.join(root, file)));
  if (missing.length > 0)
    throw new Error(`longest-first.ts names ${missing.join(", ")}: not there`);
}

/** All of both in their order, `some` as evenly as can be among `others`. */
function spread<T>(some: readonly T[], others: readonly T[]): T[] {
  const marked = [some, others].flatMap((list) =>
    list.map((item, at) => ({ item, share: at / list.length })),
  );
  return marked.toSorted((a, b) => a.share - b.share).map(({ item }) => item);
}

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    expectAll();
    const sorted = (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
    const byProject = Map.groupBy(sorted, ({ project }) => project.name);
    const { edge = [], e2e = [], node = [], ...rest } = Object.fromEntries(byProject);
    // Files of one process stay together, or it would be started again. Those of the edge have a single one: at the
    // end it would run alone.
    return [edge, spread(e2e, node), ...Object.values(rest)].flat();
  }
}
