/**
 * The welcome page: what runs here, one request with its answer, then the models and where to read on. One document
 * that loads nothing else; where scripts run they copy and send, and nothing is missing without.
 */
import { html, raw } from "hono/html";
import type { ModelListing } from "../registry/merge-models.ts";
import { iconUrl } from "./icon.ts";
import { anyReady, modelList, modelSummary } from "./model-list.ts";
import { chatSample, embeddingsSample, firstRequest, firstSample, type Sample } from "./samples.ts";
import { welcomeScript } from "./welcome-script.ts";
import { welcomeStyle } from "./welcome-style.ts";

export type Welcome = {
  /** Where the API is served, without a slash at its end. */
  url: string;
  models: readonly ModelListing[];
  freeTier: { requestsPerMinute: number; unitsPerDay: number };
  localStack: boolean;
};

type Markup = ReturnType<typeof html>;

const languages = { curl: "curl", python: "Python", javaScript: "JavaScript" } as const;

const links = [
  ["/docs", "API reference", "every route, with requests to send from the page"],
  ["/openapi.json", "OpenAPI 3.1", "the same for programs, as it is enforced"],
  ["/v1/models", "Models", "status, tasks and limits of each"],
  ["/healthz", "Health", "whether the edge answers"],
] as const;

export function welcomePage({ url, models, freeTier, localStack }: Welcome): Markup {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="description" content="Language models over HTTPS" />
        <title>LLM OS</title>
        <link rel="icon" href="${iconUrl}" />
        ${raw(`<style>${welcomeStyle}</style>`)}
      </head>
      <body>
        <header>
          <a class="brand" href="/">LLM OS</a>
          <nav aria-label="Pages">
            <a href="#models">Models</a>
            <a href="/docs">API reference</a>
          </nav>
        </header>
        <main>
          <h1>Language models over HTTPS</h1>
          <p class="lead">
            For OpenAI's and Hugging Face's clients as they are.
            ${localStack ? "This one runs on your machine." : ""}
          </p>
          <p class="summary">
            <span class="dot ${anyReady(models) ? "ready" : "waiting"}"></span
            >${modelSummary(models)}
          </p>
          <section class="card split" aria-label="A request and its answer">
            ${tabbed("first", "Request", firstSample(url))} ${firstAnswer()}
          </section>
          <ul class="facts">
            <li><strong>No key</strong> needed</li>
            <li><strong>${freeTier.requestsPerMinute}</strong> requests a minute are free</li>
            <li>
              <strong>${freeTier.unitsPerDay.toLocaleString("en")}</strong> tokens a day are free
            </li>
            <li><strong>0</strong> tokens for what was computed before</li>
          </ul>
          <section id="models" aria-labelledby="models-title">
            <h2 id="models-title">Models</h2>
            ${modelList(models)}
          </section>
          <section aria-labelledby="openai-title">
            <h2 id="openai-title">With OpenAI's clients</h2>
            <p>
              Their base URL is <code class="address">${url}/v1</code>. Chat with any model that
              does chat-completion:
            </p>
            <div class="card">${tabbed("chat", "Request", chatSample(url))}</div>
            <p>Any model that embeds texts will do for this:</p>
            <div class="card">${tabbed("openai", "Request", embeddingsSample(url))}</div>
          </section>
          <section aria-labelledby="more-title">
            <h2 id="more-title">Read on</h2>
            <ul class="links">
              ${links.map(
                ([path, name, what]) =>
                  html`<li><a href="${path}">${name}</a> <span class="quiet">${what}</span></li>`,
              )}
            </ul>
            <p class="quiet">
              In the sources: <code>README.md</code> starts it, <code>docs/api.md</code> explains
              each task, <code>docs/operations.md</code> how to run it.
            </p>
          </section>
        </main>
        ${raw(`<script>${welcomeScript}</script>`)}
      </body>
    </html>`;
}

/** Radio buttons choose what is shown: no script is needed, and the arrow keys work. */
function tabbed(name: string, label: string, sample: Sample): Markup {
  const keys = ["curl", "python", "javaScript"] as const;
  return html`<div class="tabbed">
    <fieldset>
      <legend class="unseen">${label} in</legend>
      ${keys.map(
        (key) =>
          html`<input
              type="radio"
              name="${name}"
              id="${name}-${key}"
              ${key === "curl" ? "checked" : ""}
            /><label for="${name}-${key}">${languages[key]}</label>`,
      )}
      <button type="button" data-copy hidden>Copy</button>
    </fieldset>
    <div class="panels">
      ${keys.map((key) => html`<pre class="panel"><code>${coloured(sample[key])}</code></pre>`)}
    </div>
  </div>`;
}

function firstAnswer(): Markup {
  const { path, body, answer } = firstRequest;
  const lines = answer.map((each) => `  ${JSON.stringify(each)}`);
  return html`<div class="answer">
    <div class="bar">
      <h2>Answer</h2>
      <button type="button" data-path="${path}" data-body="${JSON.stringify(body)}" hidden>
        Send it now
      </button>
    </div>
    <pre><code>${coloured(`[\n${lines.join(",\n")}\n]`)}</code></pre>
    <p role="status">As answered before, scores rounded</p>
  </div>`;
}

/** Texts in quotation marks stand out. */
function coloured(code: string): Markup[] {
  return code
    .split(/("[^"\n]*")/)
    .map((part) =>
      part.startsWith('"') ? html`<span class="text">${part}</span>` : html`${part}`,
    );
}
