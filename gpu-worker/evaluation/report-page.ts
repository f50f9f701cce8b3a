/**
 * A report as one HTML document that loads nothing and runs nothing: its policy forbids both, so that hostile class
 * names and texts would be idle even if they were not escaped, which they are.
 */
import { html, raw } from "hono/html";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { metricName, verdictInWords } from "#contract/training/report-words.ts";
import { drawConfusion } from "./confusion-chart.ts";
import {
  accuracyPoints,
  type CurvePoint,
  drawCurve,
  lossPoints,
  sizePoints,
} from "./learning-curve-chart.ts";
import {
  classTable,
  comparisonTable,
  costTable,
  type Markup,
  regressionList,
} from "./report-sections.ts";
import { reportStyle } from "./report-style.ts";
import { count, stopReasons } from "./report-words.ts";

export async function reportPage(report: TrainingReport): Promise<string> {
  const { comparisons, tables, regressions, latency, size } = report;
  const [curves, confusion] = [await curveFigures(report), await confusionFigure(report)];
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'"
        />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Report: ${report.tuned_model ?? report.base_model}</title>
        ${raw(`<style>${reportStyle}</style>`)}
      </head>
      <body>
        <h1><bdi>${report.tuned_model ?? report.base_model}</bdi></h1>
        ${verdictBox(report)} ${facts(report)}
        <h2>Base against tuned</h2>
        ${comparisonTable(comparisons)}
        ${section("By class", tables.length > 0, html`${sortedTables(tables)}`)}
        ${section("Confusion matrix", confusion !== null, confusion ?? html``)}
        <h2>Worst regressions</h2>
        ${regressionList(regressions)}
        ${section("Learning curve", curves.length > 0, html`<div class="charts">${curves}</div>`)}
        <h2>Latency and size</h2>
        ${costTable({ latency, size })}
      </body>
    </html>`;
  return `${await page}\n`;
}

function section(title: string, shown: boolean, content: Markup): Markup {
  return shown
    ? html`<h2>${title}</h2>
        ${content}`
    : html``;
}

function verdictBox({ verdict }: TrainingReport): Markup {
  return html`<section class="verdict ${verdict.decision}" aria-label="Verdict">
    <strong>${verdictInWords(verdict)}</strong>
    <ul>
      ${verdict.reasons.map((reason) => html`<li>${reason}</li>`)}
    </ul>
  </section>`;
}

const baseKinds: Readonly<Record<TrainingReport["base_kind"], string>> = {
  zero_shot: "its zero-shot guess",
  majority: "the commonest class of the training data",
  base_model: "the model as it was",
};

function facts(report: TrainingReport): Markup {
  const { stopped, held_out_rows: heldOut, training_rows: training } = report;
  return html`<p class="quiet">
    <bdi>${report.base_model}</bdi>, ${report.task}. Base: ${baseKinds[report.base_kind]}. Trained
    on ${count(training)} rows, measured on ${count(heldOut)} held-out rows in the form
    ${report.form}, ${formInWords(report)}. Training ended because
    ${stopReasons[stopped.reason]}${
      stopped.detail === "" ? "" : html`: <bdi>${stopped.detail}</bdi>`
    }.
  </p>`;
}

function formInWords({ unserved }: TrainingReport): Markup {
  if (unserved === null) return html`which is the one that serves`;
  return html`as it was trained, not as it is served: <bdi>${unserved}</bdi>`;
}

/** What was tuned first: it is what people look for. */
function sortedTables(tables: TrainingReport["tables"]): Markup[] {
  const tuned = tables.filter(({ system }) => system === "tuned");
  const base = tables.filter(({ system }) => system === "base");
  return [...tuned, ...base].map((table, at) => classTable(table, at === 0));
}

async function confusionFigure({ confusion }: TrainingReport): Promise<Markup | null> {
  if (confusion === null || confusion.labels.length === 0) return null;
  return figureOf(
    await drawConfusion(confusion),
    confusion.others
      ? `The tuned model, by the classes that are confused most; ${count(confusion.classes_total)} in all.`
      : "The tuned model: rows of each class, by the class predicted.",
  );
}

async function curveFigures(report: TrainingReport): Promise<Markup[]> {
  const { steps, sizes, fit } = report.learning_curve;
  const [first] = report.comparisons;
  const name = metricName(first?.metric ?? "");
  const curves: { points: CurvePoint[]; x: string; y: string; caption: string }[] = [
    { points: lossPoints(steps), x: "step", y: "loss", caption: "Loss over steps" },
    { points: accuracyPoints(steps), x: "step", y: "accuracy", caption: "Accuracy over steps" },
    {
      points: sizePoints({ sizes, fit }, first?.better ?? "higher"),
      x: "labels",
      y: name,
      caption: `${name} by labels trained on`,
    },
  ];
  const shown = curves.filter(({ points }) => points.length > 0);
  return Promise.all(
    shown.map(async ({ points, x, y, caption }) =>
      figureOf(await drawCurve(points, { x, y }), caption),
    ),
  );
}

function figureOf(svg: string, caption: string): Markup {
  return html`<figure role="img" aria-label="${caption}">
    ${raw(svg)}
    <figcaption>${caption}</figcaption>
  </figure>`;
}
