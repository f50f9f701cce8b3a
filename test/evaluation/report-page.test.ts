/** The page of a report: whole, escaped whatever names and texts are, of bounded size. */
import { describe, expect, it } from "vitest";
import { makeReport, type ReportInput } from "../../gpu-worker/evaluation/make-report.ts";
import { reportPage } from "../../gpu-worker/evaluation/report-page.ts";
import { classRows, reportInput } from "./report-input.ts";

const hostile = [
  "<script>alert(1)</script>",
  "</svg></style><img src=x onerror=alert(2)>",
  `" onmouseover="alert(3)" x='`,
  "</title><script>alert(4)</script>",
  "{{constructor.constructor('alert(5)')()}} ${alert(6)}",
  "datum.right || alert(7)",
  "\u202Ereversed\u0000\ud800",
  "&lt;b&gt; &amp;",
];

const steps = Array.from({ length: 20 }, (_, at) => ({
  step: at * 10,
  train_loss: 2 / (at + 1),
  train_accuracy: null,
  valid_loss: at % 5 === 0 ? 2.2 / (at + 1) : null,
  valid_mean_token_accuracy: at % 5 === 0 ? 1 - 1 / (at + 2) : null,
}));

const sizes = [50, 100, 200, 400].map((labels) => ({ labels, score: 0.95 - labels ** -0.5 }));

function pageOf(labels: readonly string[], each: number, others: Partial<ReportInput> = {}) {
  return reportPage(makeReport(reportInput(classRows(labels, each), others)));
}

/** Names of all elements, as a parser of tags would see them. */
function tagsOf(page: string): Set<string> {
  return new Set([...page.matchAll(/<\/?([a-z][^\s/>]*)/gi)].map(([, name = ""]) => name));
}

describe("the page", () => {
  it("says what is advised and why, with tables, charts, regressions and costs", async () => {
    const source = await pageOf(["World", "Sports", "Business"], 20, { steps, sizes });
    const page = source.replaceAll(/\s+/g, " ");
    for (const text of [
      "<strong>Deploy</strong>",
      "Accuracy went from 0.3333 to 0.95",
      "weighted average",
      "Training ended because the validation split no longer gained",
      "Loss over steps",
      "Accuracy over steps",
      "accuracy by labels trained on",
      "power law",
      "text 0 of World",
      "90.9 MB",
      "3.5 ms",
      "not measured",
    ])
      expect(page).toContain(text);
    expect(page.match(/<svg/g)).toHaveLength(4);
    expect(page).not.toMatch(/undefined|NaN|\[object/);
  });

  it("loads and runs nothing", async () => {
    const page = await pageOf(["a", "b"], 20, { steps, sizes });
    expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'");
    expect(page).not.toMatch(/<(script|link|img|iframe|object)|\s(src|href|on\w+)=|url\(|@import/i);
  });

  it("takes its colours from the page, so that charts are light or dark with it", async () => {
    const page = await pageOf(["a", "b"], 20, { steps, sizes });
    const charts = [...page.matchAll(/<svg.*?<\/svg>/gs)].map(([svg]) => svg);
    const colours = charts.flatMap((svg) => [...svg.matchAll(/(?:fill|stroke)="([^"]*)"/g)]);
    const names = new Set(colours.map(([, colour]) => colour));
    for (const name of names) expect(name).toMatch(/^(none|transparent|var\(--\w+\))$/);
  });

  it("escapes names, texts, and what was said of the run", async () => {
    const plain = tagsOf(
      await pageOf(
        hostile.map((_, at) => `name ${at}`),
        3,
        { steps, sizes },
      ),
    );
    for (const [at, name] of hostile.entries()) {
      const page = await pageOf(hostile, 3, {
        steps,
        sizes,
        base_model: name,
        tuned_model: hostile[at - 1] ?? null,
        stopped: { reason: "diverged", detail: name },
      });
      expect([...tagsOf(page)].filter((tag) => !plain.has(tag))).toEqual([]);
      expect(page).not.toMatch(/<[^>]*\son\w+\s*=[^>]*>/);
      expect(page.isWellFormed() && !page.includes("\u0000")).toBe(true);
    }
  });

  it("says of ten thousand classes that it shows some, and stays small", async () => {
    const labels = Array.from({ length: 10_000 }, (_, at) => `${"<&>".repeat(100)}${at}`);
    const page = await pageOf(labels, 1, { bootstrap: { draws: 2, seed: 0, level: 0.95 } });
    expect(page).toContain("200 of 10,000 classes");
    expect(page).toContain("10,000 in all");
    expect(page.length).toBeLessThan(1_000_000);
  });

  it("stands without rows, steps and sizes", async () => {
    const none = { texts: [], expected: [], base: { values: [] }, tuned: { values: [] } };
    const input = reportInput({ kind: "classes", ...none });
    const page = await reportPage(makeReport(input));
    expect(page).toContain("<strong>No gain</strong>");
    expect(page).not.toContain("<svg");
    expect(page).not.toMatch(/undefined|NaN/);
  });

  it("writes the number of labels that are needed", async () => {
    const page = await pageOf(["a", "b"], 20, {
      target: 0.96,
      sizes: [50, 100, 200, 400, 800].map((labels) => ({
        labels,
        score: 1 - 2 * labels ** -0.5,
      })),
    });
    const [, words] = /<strong>(.*?)<\/strong>/.exec(page) ?? [];
    expect(words).toBe("About 1,700 more labels needed");
  });
});
