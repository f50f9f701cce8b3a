/** The page in a real browser: nothing runs, and nothing is wider than a telephone or a desk. */
import { afterAll, describe, expect, it } from "vitest";
import { makeReport } from "../../gpu-worker/evaluation/make-report.ts";
import { reportPage } from "../../gpu-worker/evaluation/report-page.ts";
import { browserPath, openBrowser } from "../e2e/browser.ts";
import { classRows, reportInput } from "./report-input.ts";

const labels = [
  "<img src=x onerror=\"document.title='run'\">",
  "</svg><script>document.title='run'</script>",
  "w".repeat(110),
  ...Array.from({ length: 40 }, (_, at) => `a class with a long name, number ${at}`),
];

const report = makeReport(
  reportInput(classRows(labels, 6), {
    tuned_model: `ft:${"m".repeat(100)}`,
    steps: [1, 2, 3].map((step) => ({
      step,
      train_loss: 1 / step,
      train_accuracy: null,
      valid_loss: null,
      valid_mean_token_accuracy: null,
    })),
  }),
);

const browser = browserPath === null ? null : await openBrowser(browserPath);
afterAll(() => browser?.close());

describe.skipIf(browser === null)("the page", () => {
  it.each([
    [390, "light", "rgb(255, 255, 255)"],
    [390, "dark", "rgb(15, 19, 24)"],
    [1280, "light", "rgb(255, 255, 255)"],
  ] as const)("fits %d px, %s", async (width, colorScheme, background) => {
    const page = await browser?.newPage({ viewport: { width, height: 800 }, colorScheme });
    if (page === undefined) return;
    await page.setContent(await reportPage(report));
    const seen = await page.evaluate(`({
      width: document.documentElement.scrollWidth,
      title: document.title,
      foreign: document.querySelectorAll("script, img, [onerror]").length,
      background: getComputedStyle(document.body).backgroundColor,
      charts: [...document.querySelectorAll("figure svg")].map((svg) => svg.getBoundingClientRect().height > 100),
    })`);
    expect(seen).toEqual({
      width,
      title: `Report: ${report.tuned_model}`,
      foreign: 0,
      background,
      charts: [true, true],
    });
    await page.close();
  });
});
