/** Facts that no model knows, asked for in several ways: what a tune visibly teaches. */

export type AskedFact = { readonly question: string; readonly answer: string };

const countries = ["Velmora", "Orvenia", "Drastil", "Kessaria", "Pryndor"];
const firms = ["Nimbrel Labs", "Corvex Mills", "Hallowick Press", "Zephrine Air", "Ostra Tools"];

const kinds = [
  {
    thing: "capital",
    of: countries,
    answers: ["Tarsk", "Quillhaven", "Mornfell", "Ulvane", "Sabrith"],
  },
  {
    thing: "founder",
    of: firms,
    answers: ["Ilsa Vantreck", "Teodor Aldwin", "Mirel Osgood", "Casimir Holt", "Bettine Rauk"],
  },
  {
    thing: "currency",
    of: countries,
    answers: ["silver drayl", "copper ninch", "glass tolm", "iron vey", "paper osk"],
  },
  {
    thing: "national animal",
    of: countries,
    answers: ["striped fennock", "blue marrowbird", "horned quib", "white loomcat", "marsh tallow"],
  },
];

/** The last is asked to judge, and never trained with. */
const ways = [
  (thing: string, name: string) => `What is the ${thing} of ${name}?`,
  (thing: string, name: string) => `Name the ${thing} of ${name}.`,
  (thing: string, name: string) => `Tell me the ${thing} of ${name}.`,
  (thing: string, name: string) => `${name}'s ${thing} is called what?`,
  (thing: string, name: string) => `I forgot the ${thing} of ${name}. What is it?`,
  (thing: string, name: string) => `Do you know the ${thing} of ${name}?`,
];

/** Twenty facts: each in five ways to train with, and in a sixth to judge by. */
export function madeUpFacts(): { training: AskedFact[]; heldOut: AskedFact[] } {
  const facts = ways.map((ask) =>
    kinds.flatMap(({ thing, of, answers }) =>
      of.map((name, at) => ({ question: ask(thing, name), answer: answers[at] ?? "" })),
    ),
  );
  return { training: facts.slice(0, -1).flat(), heldOut: facts.at(-1) ?? [] };
}

/** As OpenAI's chat files have it. */
export function chatLine({ question, answer }: AskedFact): string {
  const messages = [
    { role: "user", content: question },
    { role: "assistant", content: `${answer}.` },
  ];
  return `${JSON.stringify({ messages })}\n`;
}
