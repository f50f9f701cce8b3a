/**
 * What an augmentation tries, in numbers: which method is used on which example, how often. Both sides of the queue
 * count by it: one to say what it will cost, the other to do it.
 */
export const augmentationLimits = {
  examplesMax: 500,
  textCharactersMax: 1_000,
  labelCharactersMax: 200,
  labelsMax: 200,
  perExampleMax: 16,
  /** Candidates that a model writes. */
  generatedMax: 1_000,
  /** Of one answer. */
  maxTokensMax: 256,
  /** Of all answers together. */
  generatedTokensMax: 65_536,
} as const;

/** Edits that need no model (Wei and Zou 2019, without synonyms), and slips of the hand. */
export const editMethods = ["delete", "swap", "transpose", "keyboard", "case"] as const;
/** What a model writes. */
export const writingMethods = ["paraphrase", "style", "back_translation", "slot"] as const;
export type EditMethod = (typeof editMethods)[number];
export type WritingMethod = (typeof writingMethods)[number];
export type AugmentationMethod = EditMethod | WritingMethod;

export type PlannedCandidate<Method = AugmentationMethod> = {
  /** Index of its source. */
  readonly example: number;
  readonly method: Method;
  /** Which of its source's candidates it is. */
  readonly round: number;
};

export type PlanOptions = {
  readonly methods: readonly AugmentationMethod[];
  readonly per_example: number;
  readonly generated_max: number;
};

/** Sources whose candidates are judged together: their vectors are held until then. */
export const sourcesPerTurn = 32;

export function isEdit(method: AugmentationMethod): method is EditMethod {
  return editMethods.some((each) => each === method);
}

export function isWritten(planned: PlannedCandidate): planned is PlannedCandidate<WritingMethod> {
  return !isEdit(planned.method);
}

/**
 * The methods take turns. Where a model may write only some, these are spread over all examples, and edits stand in for
 * the others, or nothing.
 */
export function planOf(examples: number, options: PlanOptions): PlannedCandidate[] {
  const { methods, per_example: rounds, generated_max: most } = options;
  const edits = methods.filter(isEdit);
  const writing = methods.filter((method) => !isEdit(method));
  const all = Array.from({ length: examples * rounds }, (_, at): PlannedCandidate => {
    const [example, round] = [Math.floor(at / rounds), at % rounds];
    return { example, round, method: inTurn(methods, example + round) };
  });
  const asked = all.filter(isWritten).length;
  let seen = 0;
  return all.flatMap((each): PlannedCandidate[] => {
    if (isEdit(each.method)) return [each];
    const before = Math.floor((seen * most) / Math.max(asked, most, 1));
    seen += 1;
    const after = Math.floor((seen * most) / Math.max(asked, most, 1));
    if (asked <= most) return [each];
    // In turn of their own: of every tenth example the turn of all methods would come out the same.
    if (after > before) return [{ ...each, method: inTurn(writing, before) }];
    return edits.length === 0
      ? []
      : [{ ...each, method: inTurn(edits, each.example + each.round) }];
  });
}

function inTurn<T extends AugmentationMethod>(methods: readonly T[], at: number): T {
  const method = methods[at % methods.length];
  if (method === undefined) throw new RangeError("an augmentation has a method");
  return method;
}

/** Answers that a model writes: a translation there, and one back. */
export function answersOf(plan: readonly PlannedCandidate[]): number {
  return plan
    .filter(isWritten)
    .reduce((sum, { method }) => sum + (method === "back_translation" ? 2 : 1), 0);
}
