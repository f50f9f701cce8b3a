/** The model card of a fitted head: what it does, how well, and the command that made it. */
import type { AdapterHead } from "../checkpoints/adapter-folder.ts";

export type HeadFigures = {
  /** Share of rows of the commonest label. */
  majority: number;
  /** By the form the base is computed in. */
  accuracy: { f32: number; int8: number };
  l2: number;
  /** Whether the held-out texts chose it. */
  chosen: boolean;
  rows: number;
  heldOut: number;
  /** Name and sha256 of each file of data. */
  data: { name: string; sha256: string }[];
  /** The words after `npm run model --`. */
  command: string;
};

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Labels named in the card; the rest stand in llm-os.json. */
const labelsShown = 12;

function labelsOf(labels: readonly string[]): string {
  const shown = labels.slice(0, labelsShown).map((label) => `\`${label}\``);
  const more = labels.length - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more, in llm-os.json` : ""}`;
}

export function headCard(id: string, adapter: AdapterHead, figures: HeadFigures): string {
  const { majority, accuracy, l2, chosen, rows, heldOut, data, command } = figures;
  const choice = chosen
    ? "L2 was\nchosen by the first of them, so they flatter it a little."
    : "L2 was\ngiven, not chosen by them.";
  const licence = adapter.licence === null ? "" : `license: ${adapter.licence}\n`;
  const sources = data.map(({ name, sha256 }) => `- \`${name}\`, sha256 \`${sha256}\``).join("\n");
  return `---
${licence}base_model: ${adapter.baseName}
library_name: peft
pipeline_tag: ${adapter.task}
---

# ${id}

Classifies texts by one linear layer over the ${adapter.pooling} of the token vectors of \
${adapter.baseName}, whose own weights
stay as they are. ${adapter.labels.length} labels: ${labelsOf(adapter.labels)}.

Fitted by multinomial logistic regression, L2 ${l2} on standardised features, on ${rows} texts cut to \
${adapter.maxLength} tokens:

${sources}

| accuracy on ${heldOut} held-out texts | |
|---|---|
| always the commonest label | ${percent(majority)} |
| this head, base computed in f32 | ${percent(accuracy.f32)} |
| this head, base computed in int8 | ${percent(accuracy.int8)} |

The figures are of a head fitted without the held-out texts and all that is part of them; ${choice} The \
head in this folder was then fitted on all texts. Made by

\`\`\`
npm run model -- ${command}
\`\`\`
`;
}
