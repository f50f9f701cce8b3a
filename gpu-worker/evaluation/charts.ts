/**
 * Charts as SVG, drawn by Vega without a DOM. Names and texts reach it as data and titles alone, never as expressions;
 * what it writes is escaped. Colours are the page's own variables, so that a chart is light or dark as the page is.
 */
import type { Spec } from "vega";

/** Wide enough to read at 390 px: the page scales it up, never down by much. */
const chartWidth = 340;

export async function drawChart(spec: Spec): Promise<string> {
  // Loaded when a report is written: 130 ms that no start of a worker need wait for.
  const { parse, View } = await import("vega");
  const view = new View(parse({ ...spec, ...frame, config }), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    // The page's style makes it as wide as its column; without a size of its own the view box alone says its shape.
    return svg.replace(/ width="[\d.]+" height="[\d.]+"/, "");
  } finally {
    view.finalize();
  }
}

const frame = {
  width: chartWidth,
  padding: 4,
  // The width is the chart's whole, names included; the height is the plot's alone.
  autosize: { type: "fit-x", contains: "padding" },
} satisfies Spec;

const config = {
  background: "none",
  axis: {
    labelColor: "var(--ink)",
    titleColor: "var(--quiet)",
    titleFontWeight: "normal",
    gridColor: "var(--line)",
    domainColor: "var(--line)",
    tickColor: "var(--line)",
    labelFont: "inherit",
    titleFont: "inherit",
    labelFontSize: 11,
    titleFontSize: 11,
    labelOverlap: true,
  },
  legend: {
    labelColor: "var(--ink)",
    labelFont: "inherit",
    labelFontSize: 11,
    orient: "top",
    // Vega takes letters for wider than they are.
    labelLimit: 240,
  },
  text: { font: "inherit" },
} satisfies Spec["config"];
