/**
 * Schemas that are published under a name, each once: wherever one of them stands in another, a reference to it is
 * written. Made from zod's; what of its JSON other tools stumble over is put in plainer words.
 */
import * as z from "zod";
import { ModelStatus } from "#contract/models.ts";
import { publishedTasks, taskTable } from "#contract/task-table.ts";
import { Task, tasks } from "#contract/tasks.ts";
import {
  Label,
  LabelName,
  offsetUnit,
  Text,
  topK,
  truncate,
  TruncationDirection,
} from "#contract/tasks/fields.ts";
import { Choice, Generation, TokenAlternative, TokenLogprob } from "#contract/tasks/generation.ts";
import { Filling } from "#contract/tasks/fill-mask.ts";
import { Answer } from "#contract/tasks/question-answering.ts";
import { RelatedPair } from "#contract/tasks/relation-extraction.ts";
import { RankedText } from "#contract/tasks/rerank.ts";
import { Structure } from "#contract/tasks/structure.ts";
import { TextPair } from "#contract/tasks/text-classification.ts";
import { Entity } from "#contract/tasks/token-classification.ts";
import { FileObject } from "../files/stored-file.ts";
import { ShownHyperparameters, TuningJobObject } from "../fine-tuning/show-job.ts";
import { TuningCheckpointObject, TuningEventObject } from "../fine-tuning/tuning-events.ts";
import { Hyperparameters } from "../routes/fine-tuning-request.ts";
import { PromptExample, PromptMessage } from "#contract/prompts/prompt.ts";
import { VariableSchema, VariablesSchema } from "#contract/prompts/variables.ts";
import {
  Accuracy,
  PromptCandidate,
  PromptFigures,
  PromptReport,
} from "#contract/prompts/prompt-report.ts";
import { PromptReference } from "../prompts/apply-prompt.ts";
import { Problem } from "#contract/training/problems.ts";
import { FileReport, LengthHistogram, Repeat } from "#contract/training/report.ts";
import { AliasObject } from "../routes/aliases.ts";
import { CountedFeedback } from "../routes/feedback.ts";
import { GenerateParameters } from "../routes/hugging-face-generation.ts";
import { PromptParameters } from "../routes/prompt-request.ts";
import { WrittenGenerateParameters } from "../routes/hugging-face-written.ts";
import { DeliveryObject } from "../routes/job-deliveries.ts";
import { ModelObject, ModelTask } from "../routes/models.ts";
import { RetuneObject } from "../routes/retunes.ts";
import { MessageBody, MessageToolCall, TextPart } from "../tasks/chat-messages.ts";
import { Options } from "../tasks/hugging-face-options.ts";
import { ModelName } from "../tasks/model-name.ts";
import { ResponseTextPart } from "../routes/response-input.ts";
import {
  FunctionTool,
  ToolChoiceFunction,
  TextFormat,
  ToolChoice,
} from "../routes/response-request.ts";
import { StreamOptions } from "../tasks/sampling.ts";
import {
  FreeText,
  ResponseFormat,
  StructuredOutputs,
  TgiGrammar,
} from "../tasks/structured-output.ts";
import {
  FunctionBody,
  NamedFunction,
  NamedTool,
  OlderFunctionBody,
  ToolBody,
  ToolChoiceBody,
} from "../tasks/tools.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import {
  ChatLogprobs,
  ChatTokenLogprob,
  ChatToolCall,
  ChatToolCallDelta,
  ChatTopLogprob,
  CompletionLogprobs,
  CompletionUsage,
  TgiToken,
} from "./generation-schemas.ts";
import {
  FunctionCall,
  InputText,
  ModelResponse,
  OutputText,
  WrittenMessage,
} from "./model-response-schemas.ts";
import {
  answerSchemas,
  ApiUsage,
  CohereErrorResponse,
  ErrorDetail,
  ErrorResponse,
  HuggingFaceErrorResponse,
  JobEvent,
  JobProgress,
  JobResponse,
} from "./response-schemas.ts";

type Json = Record<string, unknown>;
type Named = Readonly<Record<string, z.ZodType>>;

/** `text-classification` as `TextClassification`. */
export function pascalCase(name: string): string {
  return name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** What a response repeats of its request. */
const repeated: Named = {
  FunctionTool,
  ToolChoiceFunction,
  ResponseToolChoice: ToolChoice,
  FreeText,
  TextFormat,
};

const inRequests: Named = {
  ...repeated,
  ResponseTextPart,
  Text,
  TextPair,
  ModelName,
  LabelName,
  Truncate: truncate,
  TruncationDirection,
  TopK: topK,
  OffsetUnit: offsetUnit,
  PromptName: tasks["feature-extraction"].parameters.shape.prompt_name,
  MaxTokensPerDocument: tasks.rerank.parameters.shape.max_tokens_per_doc,
  RawScores: tasks.rerank.parameters.shape.raw_scores,
  ReturnText: tasks.rerank.parameters.shape.return_text,
  Options,
  PromptMessage,
  PromptExample,
  PromptVariables: VariablesSchema,
  PromptVariable: VariableSchema,
  PromptParameters,
  PromptReference,
  WrittenGenerateParameters,
  ChatMessage: MessageBody,
  MessageToolCall,
  Tool: ToolBody,
  ToolFunction: FunctionBody,
  ToolChoice: ToolChoiceBody,
  NamedFunction,
  NamedTool,
  OlderFunction: OlderFunctionBody,
  TextPart,
  StreamOptions,
  TuningSettings: Hyperparameters,
  Structure,
  ResponseFormat,
  StructuredOutputs,
  TgiGrammar,
  GenerateParameters,
  Webhook: webhookFields.webhook,
  WebhookEventsFilter: webhookFields.webhook_events_filter,
  WebhookSecret: webhookFields.webhook_secret,
};

const inResponses: Named = {
  ...repeated,
  ModelResponse,
  WrittenMessage,
  FunctionCall,
  OutputText,
  InputText,
  Task,
  ModelStatus,
  ModelTask,
  Model: ModelObject,
  PromptMessage,
  PromptExample,
  PromptVariables: VariablesSchema,
  PromptVariable: VariableSchema,
  PromptParameters,
  PromptReport,
  PromptFigures,
  PromptAccuracy: Accuracy,
  PromptCandidate,
  Delivery: DeliveryObject,
  File: FileObject,
  FineTuningJob: TuningJobObject,
  Alias: AliasObject,
  Retune: RetuneObject,
  CountedFeedback,
  FineTuningEvent: TuningEventObject,
  FineTuningCheckpoint: TuningCheckpointObject,
  Hyperparameters: ShownHyperparameters,
  FileReport,
  DataProblem: Problem,
  RepeatedExample: Repeat,
  LengthHistogram,
  Usage: ApiUsage,
  Label,
  Entity,
  Answer,
  Filling,
  RankedText,
  RelatedPair,
  Generation,
  Choice,
  TokenLogprob,
  TokenAlternative,
  CompletionUsage,
  PromptTokensDetails: CompletionUsage.shape.prompt_tokens_details,
  ChatLogprobs,
  ChatTokenLogprob,
  ChatTopLogprob,
  ChatToolCall,
  ChatToolCallDelta,
  CompletionLogprobs,
  TgiToken,
  JobProgress,
  JobEvent,
  Job: JobResponse,
  ErrorDetail,
  Error: ErrorResponse,
  CohereError: CohereErrorResponse,
  HuggingFaceError: HuggingFaceErrorResponse,
};

export class Components {
  readonly #io: "input" | "output";
  readonly #registry = z.registry<{ id: string }>();

  private constructor(io: "input" | "output", named: Named) {
    this.#io = io;
    for (const [name, schema] of Object.entries(named)) this.#add(name, schema);
  }

  static ofRequests(): Components {
    const components = new Components("input", inRequests);
    for (const task of publishedTasks) {
      components.#add(`${pascalCase(task)}Input`, taskTable[task].input);
      components.#add(`${pascalCase(task)}Parameters`, taskTable[task].parameters);
    }
    return components;
  }

  static ofResponses(): Components {
    const components = new Components("output", inResponses);
    for (const [task, schema] of answerSchemas) {
      components.#add(`${pascalCase(task)}Output`, schema);
    }
    return components;
  }

  #add(name: string, schema: z.ZodType): void {
    if (!this.#registry.has(schema)) this.#registry.add(schema, { id: name });
  }

  /** A reference to the schema, which is published under the name unless it already has one. */
  refTo(schema: z.ZodType, name: string): object {
    this.#add(name, schema);
    return { $ref: refOf(this.#registry.get(schema)?.id ?? name) };
  }

  /** All that were named. */
  schemas(): Record<string, unknown> {
    const { schemas } = z.toJSONSchema(this.#registry, {
      io: this.#io,
      uri: refOf,
      unrepresentable: "any",
    });
    return Object.fromEntries(
      Object.entries(schemas).map(([name, schema]) => [name, published(name, schema)]),
    );
  }
}

function refOf(name: string): string {
  return `#/components/schemas/${name}`;
}

function published(name: string, schema: object): unknown {
  const nobodys = ["$schema", "$id"];
  const kept = Object.fromEntries(
    Object.entries(schema).filter(([keyword]) => !nobodys.includes(keyword)),
  );
  return plain(name === "Task" ? { ...kept, enum: publishedTasks } : kept);
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const schema: Json = Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, plain(part)]),
  );
  return withWebhook(withoutFormat(ofLikeItems(schema)));
}

/** What is said of a webhook has no meaning without one. */
function withWebhook(schema: Json): Json {
  const { properties } = schema;
  if (typeof properties !== "object" || properties === null) return schema;
  const others = Object.keys(webhookFields).filter((name) => name !== "webhook");
  if (!others.every((name) => Object.hasOwn(properties, name))) return schema;
  const needed = Object.fromEntries(others.map((name) => [name, ["webhook"]]));
  return { ...schema, dependentRequired: needed };
}

/** A tuple of items that are all alike is a list of so many: many tools look for `items` alone. */
function ofLikeItems(schema: Json): Json {
  const { prefixItems, ...rest } = schema;
  if (!Array.isArray(prefixItems)) return schema;
  const [first, ...others] = prefixItems.map((item) => JSON.stringify(item));
  const alike = first !== undefined && others.every((other) => other === first);
  return alike ? { ...rest, items: prefixItems[0] } : schema;
}

/** No format that is registered; `contentEncoding` says it. */
function withoutFormat(schema: Json): Json {
  const { format, ...rest } = schema;
  return format === "base64" ? rest : schema;
}
