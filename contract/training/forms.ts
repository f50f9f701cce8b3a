/**
 * The forms that an example can have, as the lines of a training file give it, and what each is trained for. Fields
 * that are no part of a form are left out, and a report names them.
 */
import * as z from "zod";
import { limits } from "../limits.ts";
import { LabelName, Text } from "../tasks/fields.ts";
import { trainingLimits } from "./limits.ts";

const {
  messagesMax,
  tokensPerExampleMax: tokensMax,
  entitiesPerExampleMax: entitiesMax,
  answersPerExampleMax: answersMax,
  labelsMax,
} = trainingLimits;

export const trainingTasks = [
  "chat",
  "completion",
  "text-classification",
  "token-classification",
  "relation-extraction",
  "question-answering",
  "sentence-similarity",
  "pretraining",
] as const;
export const TrainingTask = z.enum(trainingTasks);
export type TrainingTask = z.infer<typeof TrainingTask>;

const Content = z.union([
  z.string().max(limits.stringCharactersMax),
  z.array(z.strictObject({ type: z.literal("text"), text: Text })).max(messagesMax),
]);

/** As OpenAI's chat files have it; `weight` 0: what this message of the assistant says is not learnt. */
export const TrainingMessage = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: Content,
  name: z.string().min(1).max(64).optional(),
  weight: z.literal([0, 1]).optional(),
});
export type TrainingMessage = z.infer<typeof TrainingMessage>;

const pair = { text: Text, text_pair: Text.optional() };
const offset = z.int().nonnegative();

export const Entity = z.object({ start: offset, end: offset, label: LabelName });
export type Entity = z.infer<typeof Entity>;

/** `{text, answer_start}` side by side as SQuAD's own files have them, or as lists of each. No answer: empty lists. */
const Answers = z.union([
  z.array(z.object({ text: Text, answer_start: offset })).max(answersMax),
  z.object({
    text: z.array(Text).max(answersMax),
    answer_start: z.array(offset).max(answersMax),
  }),
]);

const schemas = {
  chat: z.object({ messages: z.array(TrainingMessage).min(1).max(messagesMax) }),
  completion: z.object({
    prompt: z.string().max(limits.stringCharactersMax),
    completion: Text,
  }),
  "single-label": z.object({ ...pair, label: LabelName }),
  "multi-label": z.object({ ...pair, label: z.array(LabelName).max(labelsMax) }),
  regression: z.object({ text: Text, score: z.number() }),
  similarity: z.object({ text: Text, text_pair: Text, score: z.number() }),
  /** Two texts that belong together, and one that does not belong to the first though it looks so. */
  pairs: z.object({ text: Text, text_pair: Text, negative: Text.optional() }),
  tags: z.object({
    tokens: z.array(Text).min(1).max(tokensMax),
    tags: z.array(LabelName).min(1).max(tokensMax),
  }),
  spans: z.object({ text: Text, entities: z.array(Entity).max(entitiesMax) }),
  relation: z.object({ text: Text, label: LabelName }),
  "question-answering": z.object({ question: Text, context: Text, answers: Answers }),
  text: z.object({ text: Text }),
} as const;

export type FormName = keyof typeof schemas;
export const FormName = z.enum(Object.keys(schemas) as [FormName, ...FormName[]]);

/** A line of a form, as it is in the file. */
export type Line<F extends FormName> = z.infer<(typeof schemas)[F]>;

type FormRow = {
  readonly task: TrainingTask;
  /** A line of it. */
  readonly example: object;
};

export const forms = {
  chat: {
    task: "chat",
    example: {
      messages: [
        { role: "user", content: "What is the capital of France?" },
        { role: "assistant", content: "Paris." },
      ],
    },
  },
  completion: {
    task: "completion",
    example: { prompt: "The capital of France is", completion: " Paris." },
  },
  "single-label": {
    task: "text-classification",
    example: { text: "A delight.", label: "positive" },
  },
  "multi-label": {
    task: "text-classification",
    example: { text: "Rain stops play.", label: ["sport", "weather"] },
  },
  regression: { task: "text-classification", example: { text: "A delight.", score: 4.5 } },
  similarity: {
    task: "sentence-similarity",
    example: { text: "A cat sleeps.", text_pair: "A cat is asleep.", score: 0.9 },
  },
  pairs: {
    task: "sentence-similarity",
    example: { text: "Where is my parcel?", text_pair: "Track your order under Orders." },
  },
  tags: {
    task: "token-classification",
    example: {
      tokens: ["Ada", "was", "in", "New", "York"],
      tags: ["B-PER", "O", "O", "B-LOC", "I-LOC"],
    },
  },
  spans: {
    task: "token-classification",
    example: { text: "Ada was in London.", entities: [{ start: 11, end: 17, label: "LOC" }] },
  },
  relation: {
    task: "relation-extraction",
    example: {
      text: "The <e1>storm</e1> caused the <e2>flood</e2>.",
      label: "Cause-Effect(e1,e2)",
    },
  },
  "question-answering": {
    task: "question-answering",
    example: {
      question: "When was it finished?",
      context: "The bridge was finished in 1932.",
      answers: { text: ["1932"], answer_start: [27] },
    },
  },
  text: { task: "pretraining", example: { text: "A text to go on training with." } },
} as const satisfies Record<FormName, FormRow>;

/** The schema of each form, typed so that code may be generic over a form. */
export const formSchemas: { readonly [F in FormName]: z.ZodType<Line<F>> } = schemas;

type FieldNames = { readonly all: readonly string[]; readonly required: readonly string[] };

function namesIn(shape: Readonly<Record<string, z.ZodType>>): FieldNames {
  const all = Object.keys(shape);
  return {
    all,
    required: all.filter((name) => shape[name]?.safeParse(undefined).success === false),
  };
}

const namesOf = new Map(FormName.options.map((form) => [form, namesIn(schemas[form].shape)]));

/** Names of a form's fields, and of those that it cannot do without. */
export function fieldsOf(form: FormName): FieldNames {
  return namesOf.get(form) ?? { all: [], required: [] };
}

/** Why examples for `found` are not trained with; null: they are for what was asked, or nothing was. */
export function taskProblem(asked: TrainingTask | null, found: TrainingTask | null): string | null {
  if (asked === null || found === null || asked === found) return null;
  const other = FormName.options.filter((form) => forms[form].task === asked).join(" or ");
  return (
    `The examples are for ${found}, and task is ${asked}. Leave task out, ` +
    `or send a file of the form ${other}.`
  );
}
