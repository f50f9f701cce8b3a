/** Corrections that would fail a whole re-tune: they are left out of its training file, and counted. */
import type { FormName } from "#contract/training/forms.ts";
import { placeOfLabel } from "#contract/training/label-names.ts";

type Line = {
  text_pair?: string;
  label?: string | string[];
  tags?: string[];
  entities?: { label: string }[];
};

export class LeftOut {
  readonly #form: FormName;
  readonly #labelNames: readonly string[] | null;
  #pairs = 0;
  #unnamed = 0;

  /** @param labelNames of the job; null: it takes the labels that there are */
  constructor(form: FormName, labelNames: readonly string[] | null) {
    this.#form = form;
    this.#labelNames = labelNames;
  }

  /** @param hasPairs whether the training file has examples of two texts */
  takes(json: string, hasPairs: boolean): boolean {
    const line: Line = JSON.parse(json);
    const isPair = !hasPairs && line.text_pair !== undefined;
    const isUnnamed = !isPair && labelsOf(line).some((label) => this.#isUnnamed(label));
    this.#pairs += Number(isPair);
    this.#unnamed += Number(isUnnamed);
    return !isPair && !isUnnamed;
  }

  #isUnnamed(label: string): boolean {
    return this.#labelNames !== null && placeOfLabel(this.#labelNames, label, this.#form) === null;
  }

  /** Null: none was. */
  inWords(): string | null {
    const all = this.#pairs + this.#unnamed;
    if (all === 0) return null;
    const reasons = [
      [this.#pairs, "of two texts, where the training file has single ones"],
      [this.#unnamed, "with a label that label_names lacks"],
    ] as const;
    const why = reasons.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
    return `${all === 1 ? "1 correction is" : `${all} corrections are`} left out: ${why.join("; ")}.`;
  }
}

/** Of tags the kinds of entities. */
function labelsOf({ label = [], tags = [], entities = [] }: Line): string[] {
  const kinds = tags.filter((tag) => tag !== "O").map((tag) => tag.slice("B-".length));
  return [...[label].flat(), ...kinds, ...entities.map((each) => each.label)];
}
