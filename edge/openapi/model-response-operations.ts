/** The operations on OpenAI's responses. */
import { tasks } from "#contract/tasks.ts";
import { DeletedResponse } from "../routes/responses.ts";
import { ResponsesRequest } from "../routes/response-request.ts";
import { exampleOf } from "./examples.ts";
import { ModelResponse, ModelResponseEvent, ResponseItemList } from "./model-response-schemas.ts";
import type { Operation } from "./operation.ts";

const hex = "3f0c8a0e7b1d4c2f9a3e6d8b7c5a4f20";
export const modelResponseId = `resp_${hex}`;
const { model, input, parameters } = tasks["chat-completion"].example;
const [question] = input.messages;
const asked = String(question?.content);

const { request, response } = exampleOf(
  "chat-completion",
  {
    route: "openai.responses",
    id: modelResponseId,
    created: 1_764_336_000,
    model,
    background: false,
    echo: {
      instructions: null,
      max_output_tokens: parameters.max_tokens,
      metadata: {},
      parallel_tool_calls: true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: true,
      temperature: parameters.temperature,
      text: { format: { type: "text" } },
      tool_choice: "auto",
      tools: [],
      top_logprobs: 0,
      top_p: 1,
      truncation: "disabled",
    },
  },
  {
    model,
    input: asked,
    max_output_tokens: parameters.max_tokens,
    temperature: parameters.temperature,
  },
);

const event = {
  type: "response.output_text.delta",
  item_id: `msg_${hex}_out0`,
  output_index: 0,
  content_index: 0,
  delta: " Paris",
  logprobs: [],
  sequence_number: 7,
};

const given = {
  id: `msg_${hex}_in0`,
  type: "message",
  role: "user",
  status: "completed",
  content: [{ type: "input_text", text: asked }],
};

/** Its call has a model run. */
export const createResponse: Pick<
  Operation,
  "tag" | "summary" | "description" | "request" | "response" | "event" | "example" | "strict"
> = {
  tag: "Chat",
  summary: "Continue a conversation, as OpenAI's newer API does",
  description:
    "Gives the next message, and keeps it for 30 days unless store is false. With background it is answered at once, " +
    "and goes on; with stream it comes as numbered events. Clients of OpenAI's API work as they are.",
  request: ResponsesRequest,
  response: ModelResponse,
  event: ModelResponseEvent,
  example: { request, response, event },
  strict: true,
};

type Asking = Pick<Operation, "method" | "path" | "id" | "summary" | "description"> &
  Partial<Operation>;

function ofResponse(operation: Asking): Operation {
  return {
    tag: "Chat",
    response: ModelResponse,
    example: { response },
    errors: [400, 401, 404, 429, 500],
    headers: "result",
    ...operation,
  };
}

export const modelResponseOperations: readonly Operation[] = [
  ofResponse({
    method: "get",
    path: "/v1/responses/{response}",
    id: "getResponse",
    summary: "Ask for a response",
    description:
      "How it stands, and what was written once it is finished; with stream its events, from the first or from the " +
      "one after starting_after. Only who made it can see it.",
    query: {
      stream: { description: "true: as events.", example: "true", optional: true },
      starting_after: {
        description: "Number of the last event that is not told. Only with stream.",
        example: "7",
        optional: true,
      },
    },
    event: ModelResponseEvent,
    example: { response, event },
  }),
  ofResponse({
    method: "delete",
    path: "/v1/responses/{response}",
    id: "deleteResponse",
    summary: "Delete a response",
    description: "One that is not finished is cancelled. None can follow it any more.",
    response: DeletedResponse,
    example: { response: { id: modelResponseId, object: "response", deleted: true } },
  }),
  ofResponse({
    method: "post",
    path: "/v1/responses/{response}/cancel",
    id: "cancelResponse",
    summary: "Cancel a response",
    description: "One that is finished stays as it is. What was written until then is charged.",
  }),
  ofResponse({
    method: "get",
    path: "/v1/responses/{response}/input_items",
    id: "listInputItems",
    summary: "What a response was given",
    description: "Its input, and what was said before it, the latest first.",
    query: {
      limit: { description: "So many, 100 at most. Default: 20.", example: "20", optional: true },
      order: { description: "asc or desc. Default: desc.", example: "asc", optional: true },
      after: { description: "Those after this item.", example: given.id, optional: true },
    },
    response: ResponseItemList,
    example: {
      response: {
        object: "list",
        data: [given],
        first_id: given.id,
        last_id: given.id,
        has_more: false,
      },
    },
  }),
];
