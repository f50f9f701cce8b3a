/**
 * Five tools, ten questions for each, and ten that none of them answers; labelled by hand. A question is for one tool,
 * and its argument stands in it word for word, so that whoever reads the question knows what is right.
 */
import type OpenAI from "openai";

export type ToolQuestion = {
  readonly question: string;
  /** Null where no tool is for it. */
  readonly tool: string | null;
  readonly argument: string | number | null;
};

type DeclaredTool = {
  readonly name: string;
  readonly description: string;
  readonly argument: string;
  readonly type: "string" | "integer";
  /** Each question with its argument. */
  readonly asked: readonly (readonly [string, string | number])[];
};

const declared: readonly DeclaredTool[] = [
  {
    name: "get_weather",
    description: "The weather of a city, now and in the next days.",
    argument: "city",
    type: "string",
    asked: [
      ["What is the weather in Paris?", "Paris"],
      ["How warm is it in Tokyo right now?", "Tokyo"],
      ["Will it rain in London tomorrow?", "London"],
      ["Do I need an umbrella in Seattle today?", "Seattle"],
      ["Is it snowing in Oslo?", "Oslo"],
      ["Tell me the forecast for Madrid.", "Madrid"],
      ["How windy is it in Chicago?", "Chicago"],
      ["What is the temperature in Cairo?", "Cairo"],
      ["Is it sunny in Lisbon this weekend?", "Lisbon"],
      ["How cold will it be in Moscow tonight?", "Moscow"],
    ],
  },
  {
    name: "set_timer",
    description: "Starts a timer that rings after a number of minutes.",
    argument: "minutes",
    type: "integer",
    asked: [
      ["Set a timer for 10 minutes.", 10],
      ["Wake me in 25 minutes.", 25],
      ["Remind me to check the oven in 40 minutes.", 40],
      ["Start a 5 minute countdown.", 5],
      ["My eggs need 7 minutes. Tell me when they are done.", 7],
      ["Ring in 90 minutes, please.", 90],
      ["I want to nap for 20 minutes.", 20],
      ["Time 3 minutes for my tea.", 3],
      ["Let me know when 15 minutes have passed.", 15],
      ["Set an alarm that goes off in 60 minutes.", 60],
    ],
  },
  {
    name: "play_song",
    description: "Plays a song by its title.",
    argument: "title",
    type: "string",
    asked: [
      ["Play Yesterday.", "Yesterday"],
      ["I want to hear Bohemian Rhapsody.", "Bohemian Rhapsody"],
      ["Put on the song Imagine.", "Imagine"],
      ["Can you play Hotel California for me?", "Hotel California"],
      ["Let us listen to Thriller.", "Thriller"],
      ["Start the song Wonderwall.", "Wonderwall"],
      ["Play me Let It Be, please.", "Let It Be"],
      ["I would love to hear the song Hallelujah.", "Hallelujah"],
      ["Play the song Dancing Queen.", "Dancing Queen"],
      ["Could you put on Purple Rain?", "Purple Rain"],
    ],
  },
  {
    name: "find_recipe",
    description: "Finds a recipe for a dish.",
    argument: "dish",
    type: "string",
    asked: [
      ["Find me a recipe for lasagna.", "lasagna"],
      ["How do I cook paella?", "paella"],
      ["I want to make pancakes. What do I need?", "pancakes"],
      ["What goes into tomato soup?", "tomato soup"],
      ["Show me how to bake banana bread.", "banana bread"],
      ["Is there a good recipe for chicken curry?", "chicken curry"],
      ["Which ingredients does guacamole have?", "guacamole"],
      ["Tell me how to prepare sushi.", "sushi"],
      ["I would like to cook ratatouille tonight.", "ratatouille"],
      ["Give me a recipe for apple pie.", "apple pie"],
    ],
  },
  {
    name: "define_word",
    description: "The meaning of an English word, from a dictionary.",
    argument: "word",
    type: "string",
    asked: [
      ["What does the word ephemeral mean?", "ephemeral"],
      ["Define serendipity.", "serendipity"],
      ["What is the meaning of ubiquitous?", "ubiquitous"],
      ["Look up gregarious in the dictionary.", "gregarious"],
      ["I do not know the word laconic. What is it?", "laconic"],
      ["Give me the definition of paradox.", "paradox"],
      ["What do people mean by the word candid?", "candid"],
      ["Explain the word nostalgia.", "nostalgia"],
      ["How does a dictionary define resilient?", "resilient"],
      ["What does tedious mean?", "tedious"],
    ],
  },
];

const forNone = [
  "Hello, how are you?",
  "Thank you, that was helpful.",
  "What is 12 plus 30?",
  "Who wrote Romeo and Juliet?",
  "Tell me a joke.",
  "What is the capital of Italy?",
  "Write one sentence about the sea.",
  "How many days does a week have?",
  "Which is bigger, a cat or an elephant?",
  "Good night!",
];

export const toolQuestions: readonly ToolQuestion[] = [
  ...declared.flatMap(({ name, asked }) =>
    asked.map(([question, argument]) => ({ question, tool: name, argument })),
  ),
  ...forNone.map((question) => ({ question, tool: null, argument: null })),
];

/** By name, as sent with the tools: what arguments are judged by. */
export const toolSchemas: ReadonlyMap<string, Record<string, unknown>> = new Map(
  declared.map(({ name, argument, type }) => [
    name,
    {
      type: "object",
      properties: { [argument]: { type } },
      required: [argument],
      additionalProperties: false,
    },
  ]),
);

export const declaredTools: OpenAI.ChatCompletionFunctionTool[] = declared.map(
  ({ name, description }) => ({
    type: "function",
    function: { name, description, parameters: toolSchemas.get(name) ?? {} },
  }),
);
