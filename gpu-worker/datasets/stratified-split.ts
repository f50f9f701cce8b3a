/**
 * Parts examples by a seed into those that train and those that validate, so that each label has its share of both
 * (stratified sampling). Examples of the same text stay together, or figures would flatter; an example of several
 * labels counts as one of its rarest. The choice goes by digests: it is the same in whatever order the examples stand.
 */
import { hash } from "node:crypto";
import { normalised } from "./text-index.ts";

export type SplitExample = {
  readonly text: string;
  /** None: it is of a stratum of its own. */
  readonly labels: readonly string[];
};

export type SplitOptions = {
  /** Of the validation part, above 0 and below 1. */
  share: number;
  seed: number;
};

/** Indices of examples, ascending. */
export type Split = { training: number[]; validation: number[] };

type Group = { readonly key: string; readonly members: number[]; readonly stratum: string };

/** @throws RangeError for a share that leaves one part empty by itself */
export function stratifiedSplit(
  examples: readonly SplitExample[],
  { share, seed }: SplitOptions,
): Split {
  if (!(share > 0 && share < 1)) throw new RangeError("a share lies between 0 and 1");
  const strata = Map.groupBy(groupsOf(examples, seed), ({ stratum }) => stratum);
  const chosen = [...strata.values()].flatMap((groups) => takeShare(groups, share));
  const validation = chosen.flatMap(({ members }) => members).sort((a, b) => a - b);
  const taken = new Set(validation);
  return { training: [...examples.keys()].filter((at) => !taken.has(at)), validation };
}

function groupsOf(examples: readonly SplitExample[], seed: number): Group[] {
  const counts = new Map<string, number>();
  for (const { labels } of examples) {
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const rarest = (labels: readonly string[]) =>
    labels.toSorted((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0) || (a < b ? -1 : 1))[0];
  const groups = Map.groupBy(examples.keys(), (at) => normalised(examples[at]?.text ?? ""));
  return [...groups].map(([text, members]) => {
    const labels = members.flatMap((at) => examples[at]?.labels ?? []);
    return { key: hash("sha256", `${seed} ${text}`), members, stratum: rarest(labels) ?? "" };
  });
}

/** Groups of the smallest digests, until they hold the share; one always stays behind. */
function takeShare(groups: readonly Group[], share: number): Group[] {
  const inOrder = groups.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const total = groups.reduce((sum, { members }) => sum + members.length, 0);
  const wanted = Math.round(total * share);
  const taken: Group[] = [];
  let count = 0;
  for (const group of inOrder.slice(0, -1)) {
    if (count >= wanted) break;
    // A text that stands very often is left to training rather than be all of a part.
    if (count + group.members.length > 2 * wanted) continue;
    taken.push(group);
    count += group.members.length;
  }
  return taken;
}
