/** Tables and lists of a report's page. What comes from data is escaped, and set apart in its direction. */
import { html } from "hono/html";
import type {
  AverageRow,
  ClassificationTable,
  Comparison,
  Regression,
  TrainingReport,
} from "#contract/training/evaluation-report.ts";
import { metricName } from "#contract/training/report-words.ts";
import { bytes, count, figure, levels, signed } from "./report-words.ts";

export type Markup = ReturnType<typeof html>;

export function comparisonTable(comparisons: readonly Comparison[]): Markup {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">metric</th>
        <th scope="col">base</th>
        <th scope="col">tuned</th>
        <th scope="col">difference</th>
      </tr>
    </thead>
    <tbody>
      ${comparisons.map(comparisonRow)}
    </tbody>
  </table>`;
}

function comparisonRow({ metric, better, base, tuned, interval }: Comparison): Markup {
  const difference = base === null || tuned === null ? "" : signed(tuned - base);
  const range =
    interval === null
      ? "no interval"
      : `${signed(interval.low)} to ${signed(interval.high)}, ${Math.round(interval.level * 100)} %`;
  return html`<tr>
    <th scope="row">
      ${metricName(metric)}${better === "lower" ? html` <span class="quiet">(less is better)</span>` : ""}
    </th>
    <td>${figure(base)}</td>
    <td>${figure(tuned)}</td>
    <td>${difference}<br /><span class="quiet">${range}</span></td>
  </tr>`;
}

/** Folded but for the first. */
export function classTable(table: ClassificationTable, open: boolean): Markup {
  const { classes, classes_total: total, accuracy } = table;
  const averages = (["micro", "macro", "weighted", "samples"] as const).flatMap((name) => {
    const row = table[name];
    return row === null || (name === "micro" && accuracy !== null) ? [] : [{ name, row }];
  });
  return html`<details ${open ? "open" : ""}>
    <summary>${levels[table.level]}, ${table.system === "base" ? "base" : "tuned"}</summary>
    ${
      classes.length < total
        ? html`<p class="quiet">
            ${count(classes.length)} of ${count(total)} classes: the largest, and those with the
            lowest F1. The averages are over all.
          </p>`
        : ""
    }
    <table>
      <thead>
        <tr>
          <th scope="col">class</th>
          <th scope="col">precision</th>
          <th scope="col">recall</th>
          <th scope="col">F1</th>
          <th scope="col">support</th>
        </tr>
      </thead>
      <tbody>
        ${classes.map((row) => scoreRow(html`<bdi>${row.label}</bdi>`, row))}
      </tbody>
      <tbody class="averages">
        ${accuracy === null ? "" : accuracyRow(accuracy, table.micro.support)}
        ${averages.map(({ name, row }) => scoreRow(html`${name} average`, row))}
      </tbody>
    </table>
  </details>`;
}

function scoreRow(name: Markup, { precision, recall, f1, support }: AverageRow): Markup {
  return html`<tr>
    <th scope="row">${name}</th>
    <td>${figure(precision)}</td>
    <td>${figure(recall)}</td>
    <td>${figure(f1)}</td>
    <td>${count(support)}</td>
  </tr>`;
}

function accuracyRow(accuracy: number, support: number): Markup {
  return html`<tr>
    <th scope="row">accuracy</th>
    <td></td>
    <td></td>
    <td>${figure(accuracy)}</td>
    <td>${count(support)}</td>
  </tr>`;
}

export function regressionList({ total, worst }: TrainingReport["regressions"]): Markup {
  if (total === 0) return html`<p>The tuned model does no held-out row worse than the base.</p>`;
  return html`<p>
      The tuned model does ${count(total)} held-out ${total === 1 ? "row" : "rows"} worse than the
      base${worst.length < total ? html`; these ${worst.length} are the worst` : ""}.
    </p>
    <ol class="regressions">
      ${worst.map(regressionItem)}
    </ol>`;
}

function regressionItem({ row, text, expected, base, tuned }: Regression): Markup {
  return html`<li>
    <span class="quiet">Row ${count(row)}</span>
    <p><bdi>${text}</bdi></p>
    <dl>
      <dt>expected</dt>
      <dd><bdi>${expected}</bdi></dd>
      <dt>base</dt>
      <dd><bdi>${base}</bdi></dd>
      <dt>tuned</dt>
      <dd><bdi>${tuned}</bdi></dd>
    </dl>
  </li>`;
}

export function costTable({ latency, size }: Pick<TrainingReport, "latency" | "size">): Markup {
  return html`<table>
    <thead>
      <tr>
        <th scope="col"></th>
        <th scope="col">base</th>
        <th scope="col">tuned</th>
      </tr>
    </thead>
    <tbody>
      ${costRow("latency, median", milliseconds(latency.base?.p50_ms), milliseconds(latency.tuned?.p50_ms))}
      ${costRow("latency, 95 %", milliseconds(latency.base?.p95_ms), milliseconds(latency.tuned?.p95_ms))}
      ${costRow("size", sizeOf(size.base_bytes), sizeOf(size.tuned_bytes))}
    </tbody>
  </table>`;
}

function costRow(name: string, base: string | null, tuned: string | null): Markup {
  return html`<tr>
    <th scope="row">${name}</th>
    <td>${base ?? "not measured"}</td>
    <td>${tuned ?? "not measured"}</td>
  </tr>`;
}

function milliseconds(value: number | undefined): string | null {
  return value === undefined ? null : `${Number(value.toPrecision(3))} ms`;
}

function sizeOf(value: number | null): string | null {
  return value === null ? null : bytes(value);
}
