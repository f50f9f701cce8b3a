/**
 * The welcome page: what runs here, which models and how they are, requests to copy, where to read on. One document
 * that loads nothing else; works without script, which only copies.
 */
import { html, raw } from "hono/html";
import type { ModelListing } from "../registry/merge-models.ts";
import { type Sample, samples } from "./samples.ts";
import { welcomeStyle } from "./welcome-style.ts";

export type Welcome = {
  /** Where the API is served, without a slash at its end. */
  url: string;
  models: readonly ModelListing[];
  freeTier: { requestsPerMinute: number; unitsPerDay: number };
  localStack: boolean;
};

type Markup = ReturnType<typeof html>;

const links = [
  ["/v1/models", "Models", "every model with its status and limits"],
  ["/openapi.json", "OpenAPI 3.1", "every route, as it is enforced"],
  ["/healthz", "Health", "whether the edge answers"],
] as const;

const copyScript = `for (const button of document.querySelectorAll("button[data-copy]"))
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });`;

export function welcomePage({ url, models, freeTier, localStack }: Welcome): Markup {
  const running = models.filter(({ loaded }) => loaded).length;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>LLM OS</title>
        <style>
          ${raw(welcomeStyle)}
        </style>
      </head>
      <body>
        <header>
          <p class="status">
            <span class="dot ${running > 0 ? "good" : "idle"}"></span>
            ${running > 0 ? `serving ${running} of ${models.length} models` : "no model is loaded yet"}
          </p>
          <h1>LLM OS</h1>
          <p class="lead">
            Language models over HTTPS, for OpenAI's and Hugging Face's clients as they are.
            ${localStack ? "This one runs on your machine." : ""}
          </p>
          <p class="address"><code>${url}/v1</code></p>
          <p class="quiet">
            No key needed: ${freeTier.requestsPerMinute} requests a minute and
            ${freeTier.unitsPerDay.toLocaleString("en")} tokens a day are free. What was computed
            before costs no tokens.
          </p>
        </header>
        <main>
          <section>
            <h2>Models</h2>
            ${modelTable(models)}
          </section>
          <section>
            <h2>Try it</h2>
            ${samples(url, models[0]?.id ?? "all-MiniLM-L6-v2").map(sampleBlock)}
          </section>
          <section>
            <h2>Read on</h2>
            <ul class="links">
              ${links.map(
                ([path, name, what]) =>
                  html`<li><a href="${path}">${name}</a> <span class="quiet">${what}</span></li>`,
              )}
            </ul>
          </section>
        </main>
        <script>
          ${raw(copyScript)};
        </script>
      </body>
    </html>`;
}

function modelTable(models: readonly ModelListing[]): Markup {
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th>Model</th>
          <th>Does</th>
          <th>Status</th>
          <th>Reads</th>
          <th>Size</th>
          <th>Licence</th>
        </tr>
      </thead>
      <tbody>
        ${models.map(modelRow)}
      </tbody>
    </table>
  </div>`;
}

function modelRow(model: ModelListing): Markup {
  const { limits, sizeBytes } = model;
  return html`<tr>
    <td><code>${model.id}</code></td>
    <td>${model.tasks.join(", ")}</td>
    <td>
      <span class="badge ${badgeOf(model)}">${statusOf(model)}</span>
      ${model.reason === null ? "" : html`<div class="quiet reason">${model.reason}</div>`}
    </td>
    <td>${limits === null ? "–" : `${limits.maxTokens} tokens`}</td>
    <td>${sizeBytes === null ? "–" : `${(sizeBytes / 1e6).toFixed(1)} MB`}</td>
    <td>${model.licence ?? "–"}</td>
  </tr>`;
}

function statusOf({ status, progress, loaded }: ModelListing): string {
  if (status === "downloading" && progress !== null) return `${Math.round(progress * 100)} %`;
  return loaded ? "loaded" : status;
}

function badgeOf({ status, loaded }: ModelListing): string {
  if (status === "failed") return "bad";
  return loaded ? "good" : "idle";
}

function sampleBlock({ title, code }: Sample): Markup {
  return html`<figure>
    <figcaption>${title}</figcaption>
    <button type="button" data-copy>Copy</button>
    <pre><code>${code}</code></pre>
  </figure>`;
}
