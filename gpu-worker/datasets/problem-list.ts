/** What is wrong with a file: the first thousand problems, and how many there are of each code. */
import {
  type Fault,
  type Problem,
  type ProblemCode,
  problemAt,
} from "#contract/training/problems.ts";
import { trainingLimits } from "#contract/training/limits.ts";

export class ProblemList {
  /** Of the file as a whole; there are a few at most. */
  readonly #ofFile: Problem[] = [];
  readonly #ofLines: Problem[] = [];
  readonly #counts = new Map<ProblemCode, number>();

  /** @param line null: the file as a whole */
  add(line: number | null, fault: Fault): void {
    const listed = line === null || this.#ofLines.length < trainingLimits.problemsListedMax;
    if (listed) this.addProblem(problemAt(line, fault));
    else this.#count(fault.code);
  }

  addProblem(problem: Problem): void {
    this.#count(problem.code);
    (problem.line === null ? this.#ofFile : this.#ofLines).push(problem);
  }

  #count(code: ProblemCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  get listed(): Problem[] {
    return [...this.#ofFile, ...this.#ofLines].slice(0, trainingLimits.problemsListedMax);
  }

  get counts(): Partial<Record<ProblemCode, number>> {
    return Object.fromEntries(this.#counts);
  }
}
