/** Which form a line has, told by the fields that are there. */
import { relationMark } from "../tasks/relation-extraction.ts";
import type { FormName } from "./forms.ts";
import type { Fields } from "./json-line.ts";

/**
 * The same fields under the names of the forms: a number as label is a score, and `labels` another name of `label`.
 */
export function renameFields(fields: Fields): Fields {
  const { labels, ...others } = fields;
  const named =
    labels !== undefined && others["label"] === undefined ? { ...others, label: labels } : fields;
  const { label, ...rest } = named;
  if (typeof label !== "number" || named["score"] !== undefined) return named;
  return { ...rest, score: label };
}

/** Null: none of a form's own fields is there. @param fields renamed */
export function formOf(fields: Fields): FormName | null {
  const has = (...names: string[]) => names.some((name) => Object.hasOwn(fields, name));
  if (has("messages")) return "chat";
  if (has("prompt", "completion")) return "completion";
  if (has("tokens", "tags")) return "tags";
  if (has("entities")) return "spans";
  if (has("question", "context", "answers")) return "question-answering";
  if (has("label")) return labelledForm(fields);
  if (has("score")) return has("text_pair") ? "similarity" : "regression";
  if (has("text_pair")) return "pairs";
  return has("text") ? "text" : null;
}

function labelledForm({ label, text }: Fields): FormName {
  if (Array.isArray(label)) return "multi-label";
  return typeof text === "string" && relationMark.test(text) ? "relation" : "single-label";
}

/** The form of most lines; of two that are as common, the first. */
export function commonestForm(found: readonly (FormName | null)[]): FormName | null {
  const counts = new Map<FormName, number>();
  for (const form of found) if (form !== null) counts.set(form, (counts.get(form) ?? 0) + 1);
  let best: FormName | null = null;
  for (const [form, count] of counts) {
    if (best === null || count > (counts.get(best) ?? 0)) best = form;
  }
  return best;
}
