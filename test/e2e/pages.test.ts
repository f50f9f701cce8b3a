/**
 * The welcome page and the reference in a real browser, wide and narrow, light and dark, with scripts and without.
 */
import path from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { browserPath, openBrowser } from "./browser.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const wide = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };
const looks = [wide, phone].flatMap((viewport) =>
  (["light", "dark"] as const).map((colorScheme) => ({ viewport, colorScheme })),
);
const nameOf = ({ viewport, colorScheme }: (typeof looks)[number]) =>
  `${viewport.width} px, ${colorScheme}`;

function check(page: Page, name: "outside" | "cut" | "faint"): Promise<string[]> {
  return page.evaluate<string[]>(`pageChecks.${name}()`);
}

/** Sideways, with what is scrolled inside a box of its own left out. */
function overflows(page: Page): Promise<boolean> {
  return page.evaluate(
    "document.documentElement.scrollWidth > document.documentElement.clientWidth",
  );
}

describe.skipIf(browserPath === null)("in a browser", () => {
  let stack: SharedStack;
  let browser: Browser;

  beforeAll(async () => {
    [stack, browser] = await Promise.all([sharedStack("plain"), openBrowser(browserPath ?? "")]);
  });

  afterAll(() => browser.close());

  /** A page, and what it complained of or asked elsewhere. */
  async function open(address: string, options: BrowserContextOptions) {
    const context = await browser.newContext(options);
    onTestFinished(() => context.close());
    await context.addInitScript({ path: path.join(import.meta.dirname, "page-checks.js") });
    const page = await context.newPage();
    const wrongs: string[] = [];
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:" && origin !== stack.url) wrongs.push(`asks ${request.url()}`);
    });
    page.on("pageerror", (error) => wrongs.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) wrongs.push(message.text());
    });
    await page.goto(`${stack.url}${address}`, { waitUntil: "networkidle" });
    return { page, wrongs };
  }

  describe("the welcome page", () => {
    it.each(looks.map((look) => [nameOf(look), look] as const))(
      "fits, is legible and shows a request on its first screen: %s",
      async (_, look) => {
        const { page, wrongs } = await open("/", look);
        expect(await check(page, "outside")).toEqual([]);
        expect(await check(page, "cut")).toEqual([]);
        expect(await check(page, "faint")).toEqual([]);
        const request = await page.locator(".panel:visible").first().boundingBox();
        expect((request?.y ?? Infinity) + (request?.height ?? Infinity)).toBeLessThan(800);
        expect(await page.getByText("6 models ready").isVisible()).toBe(true);
        expect(wrongs).toEqual([]);
      },
    );

    it("shows each language by the keyboard alone, and copies what it shows", async () => {
      const permissions = ["clipboard-read", "clipboard-write"];
      const { page, wrongs } = await open("/", { viewport: phone, permissions });
      await page.getByRole("radio", { name: "curl" }).first().focus();
      for (const language of ["curl", "pip install", "npm install"]) {
        const shown = page.locator(".panel:visible").first();
        expect(await shown.textContent()).toContain(language);
        await page.getByRole("button", { name: "Copy" }).first().click();
        await page.getByRole("button", { name: "Copied" }).waitFor();
        const copied = await page.evaluate<string>("navigator.clipboard.readText()");
        expect(copied).toBe(await shown.textContent());
        await page.getByRole("radio", { checked: true }).first().press("ArrowRight");
        await page.getByRole("button", { name: "Copied" }).waitFor({ state: "detached" });
      }
      expect(wrongs).toEqual([]);
    });

    it("sends its request where scripts run, and shows the answer of now", async () => {
      const { page, wrongs } = await open("/", { viewport: wide });
      await page.getByRole("button", { name: "Send it now" }).click();
      await page.getByText(/Just now: 200 in \d+ ms/).waitFor();
      const answer = JSON.parse((await page.locator(".answer code").textContent()) ?? "");
      expect(answer).toHaveLength(3);
      expect(answer[0]).toMatchObject({ label: "delivery", score: expect.any(Number) });
      expect(await check(page, "outside")).toEqual([]);
      expect(wrongs).toEqual([]);
    });

    it("needs no script to show what it has to say", async () => {
      const { page } = await open("/", { viewport: wide, javaScriptEnabled: false });
      await page.getByText("Python", { exact: true }).first().click();
      expect(await page.locator(".panel:visible").first().textContent()).toContain("pip install");
      expect(await page.getByRole("button").count()).toBe(0);
      expect(await page.getByText("all-MiniLM-L6-v2", { exact: true }).first().isVisible()).toBe(
        true,
      );
    });
  });

  describe("the reference", () => {
    it.each(looks.map((look) => [nameOf(look), look] as const))(
      "shows its groups, and asks nobody else: %s",
      async (_, look) => {
        const { page, wrongs } = await open("/docs", look);
        await page.getByRole("heading", { name: "Chat", exact: true }).waitFor();
        expect(await overflows(page)).toBe(false);
        expect(wrongs).toEqual([]);
      },
    );

    it("sends a request from the page to this origin", async () => {
      const { page, wrongs } = await open("/docs#tag/health/GET/healthz", { viewport: wide });
      await page.getByRole("button", { name: /Test Request.*healthz/ }).click();
      const [answer] = await Promise.all([
        page.waitForResponse((response) => response.url() === `${stack.url}/healthz`),
        page.getByRole("button", { name: /^Send/ }).first().click(),
      ]);
      expect(await answer.json()).toEqual({ status: "ok" });
      expect(wrongs).toEqual([]);
    });
  });
});
