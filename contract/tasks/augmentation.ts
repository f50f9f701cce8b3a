/**
 * More examples made of labelled ones: by edits of words, and by a model that writes. Each is kept only if it is still
 * of its label, and neither too close to its source nor too far. Asked for by a route of its own: everything of it
 * travels as one input.
 */
import * as z from "zod";
import {
  answersOf,
  augmentationLimits,
  isWritten,
  planOf,
  sourcesPerTurn,
} from "../augmentation/augmentation-plan.ts";
import { AugmentationReport, Method } from "../augmentation/augmentation-report.ts";
import { estimatedRewrites, pivots, rewriteMessages } from "../augmentation/rewrite-prompts.ts";
import { defineTask, type Readings } from "../task.ts";
import { tokensPerMessage } from "./chat-completion.ts";

const { textCharactersMax, labelCharactersMax, examplesMax } = augmentationLimits;

export const LabelledExample = z.strictObject({
  text: z
    .string()
    .max(textCharactersMax)
    .refine((text) => text.trim() !== "", { error: "is empty: leave the example out" })
    .describe("What is varied."),
  label: z.string().min(1).max(labelCharactersMax).describe("Its class, which stays."),
});
export type LabelledExample = z.infer<typeof LabelledExample>;

export const LabelledExamples = z
  .array(LabelledExample)
  .min(1)
  .max(examplesMax)
  .describe("Labelled texts that more are made of.");

const share = z.number().min(0).max(1);

/** As the queue carries them: everything is said. */
export const augmentationParameters = {
  methods: z
    .array(Method)
    .min(1)
    .max(Method.options.length)
    .refine((methods) => new Set(methods).size === methods.length, {
      error: "names a method twice: name each once",
    })
    .describe(
      "How candidates are made, in turn. Edits of words: delete, swap, transpose and keyboard (typing errors), case. " +
        "Written by the generator: paraphrase, style, back_translation, slot.",
    ),
  per_example: z
    .int()
    .min(1)
    .max(augmentationLimits.perExampleMax)
    .describe("Candidates that are tried of each example."),
  generated_max: z
    .int()
    .min(0)
    .max(augmentationLimits.generatedMax)
    .describe("Candidates that the generator writes, at most; edits stand in for the others."),
  max_tokens: z
    .int()
    .min(1)
    .max(augmentationLimits.maxTokensMax)
    .describe("Of each of the generator's answers."),
  temperature: z.number().min(0).max(2).describe("Of the generator."),
  pivot: z.enum(pivots).describe("By which language English texts are translated and back."),
  edit_share: share.describe("Of the words of a text that an edit changes; always one at least."),
  similarity_min: z
    .number()
    .min(-1)
    .max(1)
    .describe("The least cosine of a candidate with its source."),
  similarity_max: z
    .number()
    .min(-1)
    .max(1)
    .describe("The largest: past it a candidate is a near copy, of its source or of another."),
  label_score_min: share.describe("The least score that the judge gives to the label."),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .describe("The same seed makes the same candidates."),
} as const;

export const AugmentationParameters = z.strictObject({
  ...augmentationParameters,
  generator: z.string().max(200).nullable().describe("Id of the model that writes. Null: none."),
  embedder: z.string().max(200).describe("Id of the model whose sentence vectors are compared."),
  zero_shot: z
    .boolean()
    .describe("The judge goes by the labels' names, and has no classes of them."),
});
export type AugmentationParameters = z.infer<typeof AugmentationParameters>;

/** Where a caller says nothing. */
export const augmentationDefaults = {
  methods: ["delete", "swap", "transpose", "keyboard"],
  per_example: 4,
  generated_max: 200,
  max_tokens: 64,
  temperature: 0.8,
  pivot: "fr",
  edit_share: 0.1,
  similarity_min: 0.6,
  similarity_max: 0.995,
  label_score_min: 0,
  seed: 0,
  embedder: "all-MiniLM-L6-v2",
} as const satisfies Partial<AugmentationParameters>;

const examples = [
  { text: "Where is my new card?", label: "card_arrival" },
  { text: "What is the exchange rate today?", label: "exchange_rate" },
];

const nothing = { too_long: 0, duplicate: 0, near_copy: 0, too_far: 0, label_score: 0 };

export const augmentation = defineTask({
  summary: "Augment labelled examples",
  internal: true,
  example: {
    model: "all-MiniLM-L6-v2",
    input: { examples },
    parameters: {
      ...augmentationDefaults,
      methods: ["swap"],
      per_example: 1,
      generated_max: 0,
      generator: null,
      zero_shot: true,
    },
    output: {
      judge: { model: "all-MiniLM-L6-v2", by: "similarity" },
      tried: 2,
      kept: 1,
      rejected: { ...nothing, not_made: 0, label_changed: 1 },
      methods: [{ method: "swap", tried: 2, kept: 1 }],
      cost: { answers: 0, prompt_tokens: 72, completion_tokens: 0 },
      examples,
      candidates: [
        {
          text: "Where my is new card?",
          label: "card_arrival",
          source: 0,
          method: "swap",
          scores: { similarity: 0.97, label: 0.94, source_label: 0.95 },
        },
      ],
    },
    tokens: 72,
  },
  input: z.strictObject({ examples: LabelledExamples }),
  parameters: AugmentationParameters,
  output: AugmentationReport,
  reads: ({ examples: given }, parameters, vectors) => [
    ...judged(given, parameters, vectors),
    ...written(given, parameters),
  ],
  // What comes of it is read once, as its job's output.
  repeats: () => false,
  huggingFace: null,
});

/** What the encoders read: each text by the embedder and by the judge, which may read it beside each label. */
function judged(
  given: readonly LabelledExample[],
  parameters: AugmentationParameters,
  vectors: boolean,
): Readings {
  const plan = planOf(given.length, parameters);
  const labels = [...new Set(given.map(({ label }) => label))];
  const beside = parameters.zero_shot && !vectors ? labels.length : 1;
  const texts = [...given, ...plan.flatMap(({ example }) => given[example] ?? [])];
  const turns = parameters.zero_shot ? Math.ceil(given.length / sourcesPerTurn) : 0;
  return [
    ...texts.flatMap(({ text }) => Array.from({ length: 1 + beside }, () => text)),
    ...Array.from({ length: turns }, () => labels).flat(),
  ];
}

function written(given: readonly LabelledExample[], parameters: AugmentationParameters): Readings {
  const { pivot, max_tokens } = parameters;
  const plan = planOf(given.length, parameters).filter(isWritten);
  const asked = plan.flatMap(({ example, method }) =>
    estimatedRewrites(method, given[example]?.text ?? "", pivot),
  );
  const messages = asked.flatMap((rewrite) => rewriteMessages(rewrite, "examples"));
  return [
    ...messages.flatMap(({ content }) => [
      ...(typeof content === "string" ? [content] : []),
      { tokens: tokensPerMessage },
    ]),
    ...Array.from({ length: answersOf(plan) }, () => ({ tokens: max_tokens })),
  ];
}
