/**
 * Which of a classifier's classes say that a text entails another, and that it contradicts it: by this a model
 * classifies by labels of the request (zero-shot). The one place where this is told, as transformers'
 * ZeroShotClassificationPipeline does; a class that is named for contradiction goes before the place where that
 * pipeline looks for it.
 */

export type EntailmentClasses = { readonly entailment: number; readonly contradiction: number };

/** @returns null for a model that was not trained for entailment */
export function entailmentClasses(labels: readonly string[]): EntailmentClasses | null {
  const entailment = labels.findIndex((label) => /^entail/i.test(label));
  if (entailment < 0 || labels.length < 2) return null;
  const named = labels.findIndex((label) => /^contradict/i.test(label));
  const usual = entailment === 0 ? labels.length - 1 : 0;
  return { entailment, contradiction: named < 0 ? usual : named };
}
