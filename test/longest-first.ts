/**
 * In each project the files that take longest begin first, so that none is left to run alone at the end. Vitest itself
 * knows how long a file takes only where an earlier run was kept; without one, as in CI, it goes by the file's size.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Those of a quarter of a minute and more on two cores. */
const longest: readonly string[] = [
  "test/e2e/fine-tuning.test.ts",
  "test/e2e/chat-crash.test.ts",
  "test/e2e/crash.test.ts",
  "test/e2e/hostile.test.ts",
  "test/e2e/streams.test.ts",
  "test/e2e/lost-jobs.test.ts",
  "test/e2e/clients.test.ts",
  "test/e2e/npm-start.test.ts",
  "test/e2e/generation-fuzz.test.ts",
  "test/e2e/chat-clients.test.ts",
  "test/e2e/edge-memory.test.ts",
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

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    expectAll();
    const sorted = await super.sort(files);
    const projects = [...new Set(sorted.map(({ project }) => project.name))];
    const turn = ({ project }: TestSpecification) => projects.indexOf(project.name);
    return sorted.toSorted((a, b) => turn(a) - turn(b) || place(a) - place(b));
  }
}
