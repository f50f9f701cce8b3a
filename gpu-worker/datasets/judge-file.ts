/**
 * All of a training file: each bad example with what to do about it, and what its good ones are like. Goes through the
 * file once, in memory that does not grow with it but for a digest of each text.
 */
import type { FormName } from "#contract/training/forms.ts";
import { forms } from "#contract/training/forms.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { FileReport, Leakage, Repeats } from "#contract/training/report.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { codePointsIn } from "./code-points.ts";
import { type DataFile, type DataSource, openDataFile } from "./data-file.ts";
import { type ExampleWords, saysOneThing, wordsOf } from "./example-words.ts";
import { LabelCounts } from "./label-counts.ts";
import { Lengths } from "./lengths.ts";
import { likelyClassesMax, noticesOf } from "./notices.ts";
import { ProblemList } from "./problem-list.ts";
import { formOfRow, readRow } from "./read-examples.ts";
import type { Row } from "./row.ts";
import { TextIndex } from "./text-index.ts";
import { TokenCounter, type TokenRules } from "./token-counter.ts";

export type JudgeOptions = {
  signal: AbortSignal;
  /** Null: tokens are not counted. */
  tokens: TokenRules | null;
  /** What the training file was found to be, for its validation file; null: this is the training file. */
  training: JudgedFile | null;
  /** Is told how many bytes have been read, now and then. */
  onProgress(bytes: number): void;
};

export type JudgedFile = {
  report: FileReport;
  /** Null: there is no training file to compare with. */
  leakage: Leakage | null;
  index: TextIndex;
  labels: ReadonlySet<string> | null;
};

const { examplesMin, examplesMax, repeatsListedMax, ignoredFieldsMax, fileBytesMax } =
  trainingLimits;

/** @throws what the source throws, or the signal's reason */
export async function judgeFile(source: DataSource, options: JudgeOptions): Promise<JudgedFile> {
  const file = await openDataFile(source);
  try {
    return await new FileJudge(file, options).judge();
  } finally {
    await file.close();
  }
}

class FileJudge {
  readonly #file: DataFile;
  readonly #options: JudgeOptions;
  readonly #problems = new ProblemList();
  readonly #index = new TextIndex();
  readonly #labels: LabelCounts;
  readonly #characters = new Lengths();
  /** Of a regression: whether they are rather classes. */
  readonly #scores = new Set<string>();
  readonly #ignored = new Map<string, number>();
  readonly #repeats: Repeats = {
    duplicates: 0,
    conflicts: 0,
    first_duplicates: [],
    first_conflicts: [],
  };
  readonly #leakage: Leakage = { examples: 0, conflicts: 0, first: [] };
  #form: FormName | null = null;
  #labelled = false;
  #tokens: TokenCounter | null = null;
  #examples = 0;
  #bad = 0;

  constructor(file: DataFile, options: JudgeOptions) {
    this.#file = file;
    this.#options = options;
    this.#labels = new LabelCounts(options.training?.labels ?? null);
  }

  async judge(): Promise<JudgedFile> {
    const { head } = this.#file;
    if ("problems" in head) {
      for (const problem of head.problems) this.#problems.addProblem(problem);
      return this.#result();
    }
    this.#decide(this.#options.training?.report.form ?? head.form);
    const slices = new TimeSlices(this.#options.signal);
    let full = false;
    for await (const rows of this.#file.rows(head.layout)) {
      this.#options.onProgress(this.#file.bytesRead);
      for (const row of rows) {
        if (slices.over) await slices.next();
        if ((full = this.#isFull(row))) break;
        this.#take(row);
        if (this.#tokens?.full === true) await this.#tokens.count(this.#options.signal);
      }
      if (full) break;
    }
    this.#judgeWhole();
    return this.#result();
  }

  #decide(form: FormName | null): void {
    this.#form = form;
    const { tokens } = this.#options;
    if (form !== null && tokens !== null) this.#tokens = new TokenCounter(form, tokens);
  }

  /** Whether there are as many examples as there may be before this row, which is noted then. */
  #isFull({ line }: Row): boolean {
    if (this.#examples < examplesMax) return false;
    const details = { expected: String(examplesMax), found: String(line) };
    this.#problems.add(null, { code: "too_many_examples", ...details });
    return true;
  }

  #take(row: Row): void {
    if (this.#form === null) this.#decide(formOfRow(row));
    const read = readRow(this.#form ?? "text", row);
    if ("faults" in read) {
      this.#bad += 1;
      for (const { line, fault } of read.faults) this.#problems.add(line, fault);
      return;
    }
    const words = wordsOf(this.#form ?? "text", read.example);
    const fault = words.labels === null ? null : this.#labels.faultOf(words.labels);
    if (fault !== null) {
      this.#bad += 1;
      this.#problems.add(read.line, fault);
      return;
    }
    this.#examples += 1;
    this.#count(words, read.ignored);
    this.#compare(words, read.line);
    this.#tokens?.add(words.readings);
  }

  #count({ target, labels, readings }: ExampleWords, ignored: readonly string[]): void {
    this.#labelled ||= labels !== null;
    this.#labels.add(labels ?? []);
    if (this.#form === "regression" && this.#scores.size <= likelyClassesMax) {
      this.#scores.add(target);
    }
    this.#characters.add(readings.reduce((sum, text) => sum + codePointsIn(text), 0));
    for (const name of ignored) {
      const known = this.#ignored.get(name) ?? 0;
      if (known > 0 || this.#ignored.size < ignoredFieldsMax) this.#ignored.set(name, known + 1);
    }
  }

  #compare({ text, target }: ExampleWords, line: number): void {
    const seen = this.#index.add(text, target, line);
    const oneThing = this.#form !== null && saysOneThing.includes(this.#form);
    if (seen !== null) {
      const same = seen.sameTarget || !oneThing;
      const list = same ? this.#repeats.first_duplicates : this.#repeats.first_conflicts;
      this.#repeats[same ? "duplicates" : "conflicts"] += 1;
      if (list.length < repeatsListedMax) list.push({ line, first_line: seen.line });
    }
    const leaked = this.#options.training?.index.find(text, target) ?? null;
    if (leaked === null) return;
    this.#leakage.examples += 1;
    if (!leaked.sameTarget && oneThing) this.#leakage.conflicts += 1;
    const { first } = this.#leakage;
    if (first.length < repeatsListedMax) first.push({ line, first_line: leaked.line });
  }

  /** What is wrong with the file as a whole. A validation file need not have all labels, nor many examples. */
  #judgeWhole(): void {
    if (this.#file.tooLarge) {
      this.#problems.add(null, { code: "file_too_large", expected: String(fileBytesMax) });
    }
    if (this.#examples === 0 && this.#bad === 0) this.#problems.add(null, { code: "empty_file" });
    if (this.#options.training !== null || this.#examples === 0) return;
    if (this.#examples < examplesMin) {
      const details = { found: String(this.#examples), expected: String(examplesMin) };
      this.#problems.add(null, { code: "too_few_examples", ...details });
    }
    const [first, second] = this.#labels.list();
    const one = this.#form === "single-label" || this.#form === "relation";
    if (this.#labelled && (first === undefined || (one && second === undefined))) {
      this.#problems.add(null, { code: "single_class", found: first?.label ?? "none" });
    }
  }

  async #result(): Promise<JudgedFile> {
    const form = this.#form;
    const { head } = this.#file;
    const labels = this.#labelled ? this.#labels.list() : null;
    const facts = {
      container: "problems" in head ? null : head.container,
      form,
      task: form === null ? null : forms[form].task,
      bytes: this.#file.bytesRead,
      examples: this.#examples,
      bad_examples: this.#bad,
      problems: this.#problems.listed,
      problem_counts: this.#problems.counts,
      repeats: this.#repeats,
      labels,
      characters: this.#characters.histogram("characters", null),
      tokens: (await this.#tokens?.histogram(this.#options.signal)) ?? null,
      ignored_fields: [...this.#ignored].map(([name, examples]) => ({ name, examples })),
    };
    return {
      report: { ...facts, notices: noticesOf(facts, this.#scores) },
      leakage: this.#options.training === null ? null : this.#leakage,
      index: this.#index,
      labels: this.#labelled ? this.#labels.names : null,
    };
  }
}
