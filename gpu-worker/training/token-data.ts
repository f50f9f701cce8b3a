/** Files of tagged texts as examples to train with and examples that are held out. */
import type { FormName } from "#contract/training/forms.ts";
import type { DataReport } from "#contract/training/report.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { wordsOf } from "../datasets/example-words.ts";
import { linesOf, partsOf } from "./checked-data.ts";
import type { DataFiles, Parts } from "./checked-data.ts";
import type { TaggedExample } from "./token-rows.ts";

export type TokenData = Parts<TaggedExample> & {
  /** Of entities, in the order of their names. */
  readonly kinds: readonly string[];
};

type TokenForm = TaggedExample["form"];

export function isTokenForm(form: FormName | null): form is TokenForm {
  return form === "tags" || form === "spans";
}

function describe({ form, line }: TaggedExample) {
  const { text, labels } = form === "tags" ? wordsOf(form, line) : wordsOf(form, line);
  return { text, labels: labels ?? [] };
}

/**
 * @param report of the same files
 * @throws DataError where nothing can be held out; what a source throws; the signal's reason
 */
export async function readTokenData(
  files: DataFiles,
  { training: { labels } }: DataReport,
  {
    form,
    names,
    seed,
    signal,
  }: {
    readonly form: TokenForm;
    /** Of kinds, in their order; null: of those that there are. */
    readonly names: readonly string[] | null;
    readonly seed: number;
    readonly signal: AbortSignal;
  },
): Promise<TokenData> {
  const found = (labels ?? []).map(({ label }) => label);
  const kinds = names ?? found.toSorted();
  const options = { labels: new Set(found), signal };
  const read = async (source: DataSource): Promise<TaggedExample[]> =>
    form === "tags"
      ? (await linesOf(source, form, options)).map((line) => ({ form, line }))
      : (await linesOf(source, form, options)).map((line) => ({ form, line }));
  return { kinds, ...(await partsOf(files, { seed, read, describe })) };
}
