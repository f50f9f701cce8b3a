/**
 * Other wordings of a prompt, always the same ones of the same prompt: where its instruction stands, whether the labels
 * are told, whether the form of the answer is; and those that a caller wrote.
 */
import type { Prompt, PromptMessage } from "./prompt.ts";
import { escapeTemplate } from "./template.ts";

export type Variant = { readonly name: string; readonly messages: readonly PromptMessage[] };

/** The first is the prompt as it is written. */
export function wordingsOf(
  prompt: Prompt,
  { labels, variants }: { labels: readonly string[] | null; variants: readonly Variant[] },
): { name: string; prompt: Prompt }[] {
  const { messages } = prompt;
  const list = labels === null ? null : `Answer with one of: ${labels.join(", ")}.`;
  const form =
    labels === null
      ? "Give the answer alone, without an explanation."
      : "Give the label alone, and nothing else.";
  const rewrites: (Variant | null)[] = [
    list === null ? null : { name: "labels told", messages: withSentence(messages, list) },
    { name: "form told", messages: withSentence(messages, form) },
    list === null
      ? null
      : { name: "labels and form told", messages: withSentence(messages, `${list} ${form}`) },
    moved(messages, "instruction last"),
  ];
  const known = new Set([JSON.stringify(messages)]);
  const wordings = [{ name: "as written", prompt }];
  for (const { name, messages: other } of [...rewrites, ...variants].filter(
    (each) => each !== null,
  )) {
    const text = JSON.stringify(other);
    if (!known.has(text)) wordings.push({ name, prompt: { ...prompt, messages: [...other] } });
    known.add(text);
  }
  return wordings;
}

/** At the end of the instruction: what comes before the first message of the user, or one more before it. */
function withSentence(messages: readonly PromptMessage[], sentence: string): PromptMessage[] {
  const at = messages.findIndex(({ role }) => role === "user");
  const last = (at === -1 ? messages.length : at) - 1;
  const added = escapeTemplate(sentence);
  if (last === -1) return [{ role: "system", content: added }, ...messages];
  return messages.map((message, index) =>
    index === last ? { ...message, content: `${message.content} ${added}` } : message,
  );
}

/** What the system says, after what the user says. */
function moved(messages: readonly PromptMessage[], name: string): Variant | null {
  const at = messages.findIndex(({ role }) => role === "user");
  const [turn] = messages.slice(at);
  if (at < 1 || turn === undefined) return null;
  const said = messages.slice(0, at).map(({ content }) => content);
  const content = [turn.content, ...said].join("\n\n");
  return { name, messages: [{ ...turn, content }, ...messages.slice(at + 1)] };
}
