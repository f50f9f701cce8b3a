/** The models as the welcome page shows them: by what a caller can expect, each with what it does and takes. */
import { html } from "hono/html";
import type { ModelListing } from "../registry/merge-models.ts";

type Markup = ReturnType<typeof html>;
type State = "ready" | "waiting" | "fetching" | "failed";

const titles: Readonly<Record<State, string>> = {
  ready: "Ready",
  waiting: "When first asked for",
  fetching: "Being fetched",
  failed: "Not usable now",
};

function stateOf({ status, loaded, reason }: ModelListing): State {
  if (loaded) return "ready";
  if (status === "failed") return "failed";
  if (status === "downloading") return "fetching";
  // What is here and not loaded needs a moment; what is not here says why.
  return reason === null ? "ready" : "waiting";
}

/** The whole list in a line. */
export function modelSummary(models: readonly ModelListing[]): string {
  const count = (state: State) => models.filter((model) => stateOf(model) === state).length;
  const [first] = models;
  const alike = models.every(({ reason }) => reason === first?.reason);
  if (count("ready") === 0 && alike) return first?.reason ?? "No model is known yet.";
  const parts = [
    `${count("ready")} ${count("ready") === 1 ? "model" : "models"} ready`,
    ...told(count("waiting"), "fetched when first asked for"),
    ...told(count("fetching"), "being fetched"),
    ...told(count("failed"), "not usable now"),
  ];
  return parts.join(", ");
}

function told(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

export function anyReady(models: readonly ModelListing[]): boolean {
  return models.some((model) => stateOf(model) === "ready");
}

export function modelList(models: readonly ModelListing[]): Markup[] {
  const states: readonly State[] = ["ready", "fetching", "waiting", "failed"];
  return states.flatMap((state) => {
    const members = models.filter((model) => stateOf(model) === state);
    return members.length === 0 ? [] : [modelGroup(state, members)];
  });
}

function modelGroup(state: State, models: readonly ModelListing[]): Markup {
  const notes = [...new Set(models.map(({ reason }) => reason))];
  const [note = null] = notes;
  const shared = notes.length === 1 ? note : null;
  return html`<div class="group">
    <h3><span class="dot ${state}"></span>${titles[state]}</h3>
    ${shared === null ? "" : html`<p class="quiet">${sentence(shared)}</p>`}
    <ul class="models">
      ${models.map((model) => modelRow(model, shared === null))}
    </ul>
  </div>`;
}

function modelRow(model: ModelListing, ownReason: boolean): Markup {
  const { id, aliases, tasks, limits, sizeBytes, licence, reason, progress } = model;
  const publisher = aliases.find((alias) => alias.includes("/"))?.split("/", 1)[0];
  return html`<li>
    <div class="name">
      <code>${id}</code>
      ${publisher === undefined ? "" : html`<span class="quiet">by ${publisher}</span>`}
      ${progress === null ? "" : html`<span>${Math.round(progress * 100)} % here</span>`}
      ${ownReason && reason !== null ? html`<span class="reason">${sentence(reason)}</span>` : ""}
    </div>
    <ul class="tasks" aria-label="Tasks of ${id}">
      ${tasks.map((task) => html`<li>${task}</li>`)}
    </ul>
    <dl>
      ${figure("Reads", limits === null ? null : `${limits.maxTokens} tokens`)}
      ${figure("Size", sizeBytes === null ? null : sizeOf(sizeBytes))} ${figure("Licence", licence)}
    </dl>
  </li>`;
}

function figure(name: string, value: string | null): Markup {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value ?? "–"}</dd>
  </div>`;
}

function sizeOf(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${Math.round(bytes / 1e6)} MB`;
}

function sentence(text: string): string {
  return text.endsWith(".") ? text : `${text}.`;
}
