/**
 * The confusion matrix: a field for each expected class (down) and predicted class (across), the darker the larger its
 * share of the row.
 */
import type { Spec } from "vega";
import { cutText } from "#contract/cut-text.ts";
import type { ConfusionMatrix } from "#contract/training/evaluation-report.ts";
import { drawChart } from "./charts.ts";

/** Up to so many classes fields hold their number; smaller fields are read by their colour, and names are shorter. */
const numberedClassesMax = 12;
const largeNames = { characters: 16, fontSize: 11 };
const smallNames = { characters: 12, fontSize: 9 };
const fieldHeight = 26;
/** Of 25 fields, each still as high as its name. */
const plotHeightMax = 300;

export function drawConfusion(matrix: ConfusionMatrix): Promise<string> {
  const height = Math.min(plotHeightMax, matrix.labels.length * fieldHeight);
  return drawChart({ height, ...confusionSpec(matrix) });
}

function confusionSpec({ labels, cells }: ConfusionMatrix): Spec {
  const order = labels.map((_, at) => at);
  const meant = new Float64Array(labels.length);
  for (const [row, , count] of cells) meant[row] = (meant[row] ?? 0) + count;
  const values = cells.map(([row, said, count]) => {
    const share = count / (meant[row] ?? 1);
    return { row, said, count, share, right: row === said, dense: share > 0.5 };
  });
  const numbered = labels.length <= numberedClassesMax;
  const { characters, fontSize } = numbered ? largeNames : smallNames;
  const names = labels.map((label) => cutText(label, characters));
  return {
    data: [{ name: "cells", values }],
    scales: [
      { name: "x", type: "band", domain: order, range: "width", padding: 0.04 },
      { name: "y", type: "band", domain: order, range: "height", padding: 0.04 },
      { name: "name", type: "ordinal", domain: order, range: names },
    ],
    axes: [
      { orient: "bottom", scale: "x", title: "predicted", labelAngle: -90, ...nameAxis(fontSize) },
      { orient: "left", scale: "y", title: "expected", ...nameAxis(fontSize) },
    ],
    marks: [fields(), ...(numbered ? [numbers()] : [])],
  };
}

/** Classes are told apart by their places; their names are looked up, so that they may be anything. */
function nameAxis(labelFontSize: number) {
  return {
    labelAlign: "right",
    labelFontSize,
    ticks: false,
    labelOverlap: false,
    domain: false,
    labelPadding: 4,
    encode: { labels: { update: { text: { scale: "name", field: "value" } } } },
  } as const;
}

const corner = { x: { scale: "x", field: "said" }, y: { scale: "y", field: "row" } } as const;

function fields(): NonNullable<Spec["marks"]>[number] {
  return {
    type: "rect",
    from: { data: "cells" },
    encode: {
      enter: {
        ...corner,
        width: { scale: "x", band: 1 },
        height: { scale: "y", band: 1 },
        fill: [{ test: "datum.right", value: "var(--first)" }, { value: "var(--second)" }],
        fillOpacity: { field: "share" },
      },
    },
  };
}

function numbers(): NonNullable<Spec["marks"]>[number] {
  return {
    type: "text",
    from: { data: "cells" },
    encode: {
      enter: {
        x: { scale: "x", field: "said", band: 0.5 },
        y: { scale: "y", field: "row", band: 0.5 },
        align: { value: "center" },
        baseline: { value: "middle" },
        fontSize: { value: 11 },
        text: { field: "count" },
        fill: [{ test: "datum.dense", value: "var(--paper)" }, { value: "var(--ink)" }],
      },
    },
  };
}
