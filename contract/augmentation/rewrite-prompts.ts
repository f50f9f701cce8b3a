/** How a model is asked for another wording of a text: written for small models, with an example or two of the form. */
import { renderPrompt, type Prompt, type PromptExample } from "../prompts/prompt.ts";
import { readyPrompt } from "../prompts/ready-prompts.ts";
import type { ChatMessage } from "../tasks/chat-completion.ts";
import type { WritingMethod } from "./augmentation-plan.ts";

export const pivots = ["fr", "de", "es", "it", "pt", "zh", "ja", "ko", "ru", "ar"] as const;
export type Pivot = (typeof pivots)[number];

export const styles = ["formal", "casual", "polite", "short"] as const;
export type Style = (typeof styles)[number];

/** Stands where a part of a text was taken out. */
export const gap = "____";

/** What a model is asked for. `there`, `back`: the two ways of a translation. */
export type Rewrite =
  | { kind: "paraphrase" | "slot"; text: string }
  | { kind: "style"; text: string; style: Style }
  | { kind: "there" | "back"; text: string; pivot: Pivot };

const text = { type: "string" } as const;

/** The text stands in the instruction itself: a small model answers a question that it is left alone with. */
function instruction(told: string, examples: PromptExample[], variables = {}): Prompt {
  return {
    messages: [{ role: "user", content: told }],
    variables: { type: "object", properties: { text, ...variables } },
    examples,
  };
}

function shown(from: string, output: string, variables = {}): PromptExample {
  return { variables: { text: from, ...variables }, output };
}

const prompts = {
  paraphrase: instruction('Say the same in other words, and do not answer it: "{{text}}"', [
    shown("My card was declined at the shop.", "The shop would not accept my card."),
    shown(
      "when does the library open on sunday",
      "what are the library's opening hours on sundays",
    ),
    shown("How do I book a table for two?", "What is the way to reserve a table for two people?"),
  ]),
  style: instruction(
    'Say the same in a {{style}} style, and do not answer it: "{{text}}"',
    [
      shown("Why is my parcel late?", "Could you please tell me why my parcel is late?", {
        style: "polite",
      }),
      shown("I would like to cancel my subscription.", "gonna drop my subscription", {
        style: "casual",
      }),
      shown("can u say when the shop opens", "Could you inform me of the shop's opening hours?", {
        style: "formal",
      }),
    ],
    { style: text },
  ),
  slot: instruction(`What could stand in place of ${gap}? One to three words: "{{text}}"`, [
    shown(`I would like to book a ${gap} for two people.`, "room"),
    shown(`the ${gap} was much too loud`, "music"),
    shown(`Where can I ${gap} my password?`, "change"),
  ]),
} satisfies Record<string, Prompt>;

function promptOf(rewrite: Rewrite): Prompt {
  const { kind } = rewrite;
  if (kind !== "there" && kind !== "back") return prompts[kind];
  const [from, to] = kind === "there" ? ["en", rewrite.pivot] : [rewrite.pivot, "en"];
  const prompt = readyPrompt(`translate-${from}-${to}`);
  if (prompt === undefined) throw new RangeError(`no prompt translates by ${rewrite.pivot}`);
  return prompt;
}

/** The conversation that asks for it. @param at where its text stands in the request */
export function rewriteMessages(rewrite: Rewrite, at: string): ChatMessage[] {
  const style = rewrite.kind === "style" ? { style: rewrite.style } : {};
  return renderPrompt(promptOf(rewrite), { text: rewrite.text, ...style }, at);
}

/** The rewrites that make a candidate, for the estimate: a way back reads what was written, which is not known. */
export function estimatedRewrites(method: WritingMethod, source: string, pivot: Pivot): Rewrite[] {
  if (method === "style") return [{ kind: "style", text: source, style: styles[0] }];
  if (method !== "back_translation") return [{ kind: method, text: source }];
  return (["there", "back"] as const).map((kind) => ({ kind, text: source, pivot }));
}
