/**
 * OpenAI's responses: POST /v1/responses, and GET, DELETE, cancel and input_items of one that is kept. What is computed
 * is a chat, told in other words; what is kept belongs to its caller, and nobody else is told that it exists.
 */
import * as z from "zod";
import { CodedError, type PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import type { ResponseRendering } from "../answers/model-response.ts";
import { modelResponse, unfinishedStatus } from "../answers/model-response.ts";
import { openChunks } from "../answers/read-result.ts";
import { answerHeaders, render, warningsHeader } from "../answers/render.ts";
import { responseId, type ResponseItem } from "../answers/response-items.ts";
import { StreamRenderer, whereResultOf } from "../answers/stream-surfaces.ts";
import { resultFormOf } from "../answers/surfaces.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { smallBodyBytes } from "../http/body-permit.ts";
import { randomHex } from "../http/random-hex.ts";
import { validate } from "../http/validation.ts";
import { streamHeaders } from "../jobs/answer-stream.ts";
import { endedLog } from "../jobs/event-log.ts";
import { EventStream } from "../jobs/event-stream.ts";
import type { Outcome } from "../jobs/job-rows.ts";
import type { Kept } from "../jobs/job-spec.ts";
import { graceOf, streamJob } from "../jobs/stream-call.ts";
import { type Conversation, conversationLimits } from "../responses/conversation.ts";
import { applyPrompt } from "../prompts/apply-prompt.ts";
import { limitsOfTenant } from "../responses/response-limits.ts";
import type { NewResponse } from "../responses/response-rows.ts";
import type { StoredResponse } from "../responses/tenant-responses.ts";
import type { JobRequest } from "../tasks/job-request.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { readChatCompletion } from "./chat-completions.ts";
import { type GivenInput, type GivenItem, messagesOf, readInput } from "./response-input.ts";
import {
  chatBodyOf,
  echoOf,
  formatOf,
  inOwnWords,
  noteResponsesUnused,
  readResponsesBody,
  type ResponsesBody,
} from "./response-request.ts";

/** Each answer has an id of its own, so none is given again by the bytes of its call. */
export function createResponse(c: EdgeContext): Promise<Response> {
  return serveJob(c, readResponse, false);
}

function responsesOf(c: EdgeContext) {
  return c.env.RESPONSES.getByName(c.get("caller").tenant);
}

async function readResponse(c: EdgeContext, value: unknown): Promise<JobRequest> {
  const body = readResponsesBody(value);
  const hex = randomHex();
  const id = `resp_${hex}`;
  const { given, unused } =
    body.input === undefined || body.input === null ? nothingGiven : readInput(body.input, id);
  const echo = echoOf(body);
  const said = await resolved(c, given);
  const { messages, names } = messagesOf([...(await saidBefore(c, body)), ...said]);
  if (body.instructions !== undefined) {
    messages.unshift({ role: "system", content: body.instructions });
    names.unshift("instructions");
  }
  checkLength(messages.length);
  const { request, format } = await readAsChat(c, chatBodyOf(body, messages), names);
  const warnings = [...noteResponsesUnused(c, body, unused), ...request.warnings];
  const rendering: ResponseRendering = {
    route: "openai.responses",
    id,
    created: Math.floor(Date.now() / 1_000),
    model: request.model,
    background: body.background === true,
    echo: { ...echo, ...chosen(request.parameters), ...(format !== null && { text: { format } }) },
  };
  const asked = { ...request, rendering, warnings };
  if (body.store === false) return asked;
  const input = JSON.stringify(said.map(({ item }) => item));
  const previous = body.previous_response_id ?? null;
  const { tenant } = c.get("caller");
  return { ...asked, kept: keptAs(c, hex, { id, tenant, previous, rendering, warnings, input }) };
}

/** Beside a prompt. */
const nothingGiven: GivenInput = { given: [], unused: {} };

/** What a prompt has chosen where the request said nothing. */
function chosen({ temperature = 1, top_p = 1, max_tokens = null }: Record<string, unknown>) {
  return { temperature, top_p, max_output_tokens: max_tokens };
}

/** @returns the form of its text, too, which may be the prompt's */
async function readAsChat(c: EdgeContext, body: object, names: readonly string[]) {
  try {
    const chat = await applyPrompt(c, body);
    return { request: await readChatCompletion(c, chat), format: formatOf(chat) };
  } catch (thrown) {
    throw inOwnWords(thrown, names);
  }
}

function keptAs(c: EdgeContext, hex: string, response: Omit<NewResponse, "job">): Kept {
  // A stub is of no use any more once its object was struck down.
  const checked = async (kept: Promise<boolean>) => {
    if (!(await kept)) throw tooManyOpen(response.tenant);
  };
  return {
    hex,
    background: response.rendering.background,
    begin: (job) => checked(responsesOf(c).begin({ ...response, job })),
    know: (result) => checked(responsesOf(c).keep({ ...response, job: null }, result)),
    forget: async () => void (await responsesOf(c).remove(response.id)),
  };
}

function tooManyOpen(tenant: string): CodedError {
  return new CodedError(
    "rate_limit_exceeded",
    `${limitsOfTenant(tenant).responsesMax} responses are kept, none of which is finished. Wait for some, or cancel ` +
      "them.",
  );
}

/** Items that are kept stand for themselves. */
async function resolved(c: EdgeContext, given: readonly GivenItem[]) {
  const ids = given.flatMap((each) => ("reference" in each ? [each.reference] : []));
  const found = ids.length === 0 ? [] : await itemsNamed(c, ids);
  const byId = new Map(ids.map((id, at) => [id, found[at] ?? null]));
  return given.map((each): { item: ResponseItem; name: string } => {
    if ("item" in each) return each;
    const { reference, name } = each;
    const item = byId.get(reference) ?? null;
    if (item !== null) return { item, name };
    throw new CodedError(
      "invalid_value",
      `${name}.id names no item of a response that is kept. Send the item itself.`,
      { param: `${name}.id` },
    );
  });
}

async function itemsNamed(c: EdgeContext, ids: readonly string[]) {
  const { charactersMax } = conversationLimits;
  const small = await responsesOf(c).items(ids, smallBodyBytes);
  if (!("characters" in small)) return small;
  await c.get("bodyPermit")?.acquireStored(charactersMax);
  const found = await responsesOf(c).items(ids, charactersMax);
  if (!("characters" in found)) return found;
  throw new CodedError(
    "context_length_exceeded",
    `The items that input names have over ${found.characters - 1} characters; the limit is ${charactersMax}. ` +
      "Name fewer.",
    { param: "input" },
  );
}

const previousField = "previous_response_id";

async function saidBefore(c: EdgeContext, { previous_response_id: previous }: ResponsesBody) {
  if (previous === undefined) return [];
  const known = await conversationUpTo(c, previous);
  if ("items" in known) return known.items.map((item) => ({ item, name: previousField }));
  throw notToFollow(previous, known);
}

async function conversationUpTo(c: EdgeContext, previous: string): Promise<Conversation> {
  if (!responseId.test(previous)) return { problem: "unknown", id: previous };
  const small: Conversation = await responsesOf(c).conversation(previous, smallBodyBytes);
  if (!("problem" in small) || small.problem !== "large") return small;
  await c.get("bodyPermit")?.acquireStored(small.characters);
  return responsesOf(c).conversation(previous, conversationLimits.charactersMax);
}

function notToFollow(
  previous: string,
  problem: Extract<Conversation, { problem: unknown }>,
): CodedError {
  const { charactersMax, itemsMax } = conversationLimits;
  if (problem.problem === "large") throw new Error("all of it was to be read");
  if (problem.problem === "long") {
    return new CodedError(
      "context_length_exceeded",
      `What was said until ${previous} has over ${problem.count - 1} items or ${problem.characters} characters; the ` +
        `limit is ${itemsMax} items and ${charactersMax} characters. Begin anew, and send what matters of it as input.`,
      { param: previousField },
    );
  }
  const id = problem.id.slice(0, 64);
  const before = id === previous.slice(0, 64) ? id : `${id}, which ${previous} follows,`;
  const why = {
    unknown: `${before} is no response that is kept: it was not stored, was deleted, or is past its 30 days.`,
    open: `${before} is not finished yet.`,
    failed: `${before} came to no answer.`,
  }[problem.problem];
  const fix = problem.problem === "open" ? "Wait for it." : "Send what was said as input.";
  return new CodedError("invalid_value", `${why} ${fix}`, { param: previousField });
}

function checkLength(count: number): void {
  if (count <= limits.inputsMax) return;
  throw new CodedError(
    "context_length_exceeded",
    `The conversation has ${count} messages; the limit is ${limits.inputsMax}. Begin anew, and send what matters.`,
    { param: "input" },
  );
}

/** The id in the address. @throws CodedError `not_found` where it is none */
function idOf(c: EdgeContext): string {
  const id = c.req.param("id") ?? "";
  if (!responseId.test(id)) throw responseNotFound();
  return id;
}

function responseNotFound(): CodedError {
  return new CodedError(
    "not_found",
    "No such response. Responses are kept for 30 days, for their owner, unless store was false.",
    { param: "id" },
  );
}

const flag = z.enum(["true", "false"]).optional();
/** `include` changes nothing: what was asked for with the response is there. */
const Query = z.strictObject({
  stream: flag,
  starting_after: z.coerce.number().int().nonnegative().optional(),
  include: z.string().optional(),
  "include[]": z.string().optional(),
  include_obfuscation: z.enum(["false"]).optional(),
});

export async function getResponse(c: EdgeContext): Promise<Response> {
  const id = idOf(c);
  const { stream, starting_after: last } = validate(Query, c.req.query());
  const stored = await responsesOf(c).find(id);
  if (stored === null) throw responseNotFound();
  if (stream === "true") {
    const events = await streamStored(c, stored, last === undefined ? 0 : last + 1);
    // HEAD is answered without the body: nobody reads it.
    if (c.req.method === "HEAD") await events.body?.cancel();
    return events;
  }
  if (last === undefined) return showStored(c, stored);
  throw new CodedError(
    "invalid_value",
    "starting_after says where a stream goes on, and none is asked for. Send stream=true too.",
    { param: "starting_after" },
  );
}

export async function cancelResponse(c: EdgeContext): Promise<Response> {
  const stored = await responsesOf(c).cancel(idOf(c));
  if (stored === null) throw responseNotFound();
  return showStored(c, stored);
}

export const DeletedResponse = z.object({
  id: z.string().describe("Of what is gone."),
  object: z.literal("response").describe("What it was."),
  deleted: z.literal(true).describe("That it is."),
});

export async function deleteResponse(c: EdgeContext): Promise<Response> {
  const id = idOf(c);
  if (!(await responsesOf(c).remove(id))) throw responseNotFound();
  return c.json({ id, object: "response", deleted: true } satisfies z.infer<
    typeof DeletedResponse
  >);
}

const pageMax = 100;
const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(pageMax).default(20),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().optional(),
  include: z.string().optional(),
  "include[]": z.string().optional(),
});

export async function listInputItems(c: EdgeContext): Promise<Response> {
  const { limit, order, after } = validate(PageQuery, c.req.query());
  const page = await responsesOf(c).itemsGiven(idOf(c), { limit, order, after: after ?? null });
  if (page === "response") throw responseNotFound();
  if (page === "after") {
    throw new CodedError("invalid_value", "after names no item of this list. Leave it out.", {
      param: "after",
    });
  }
  const { data, hasMore } = page;
  return c.json({
    object: "list",
    data,
    first_id: data[0]?.id ?? "",
    last_id: data.at(-1)?.id ?? "",
    has_more: hasMore,
  });
}

async function showStored(c: EdgeContext, stored: StoredResponse): Promise<Response> {
  const { rendering, warnings, state, job } = stored;
  const named: Record<string, string> = job === null ? {} : { "x-job-id": job };
  if (state.kind === "succeeded" && state.document === null) {
    const open = await openLarge(c, rendering.id);
    const headers = { ...answerHeaders(open.head, warnings), ...named };
    if (c.req.method !== "HEAD") {
      return new Response(open.body(resultFormOf(rendering, open.head)), { headers });
    }
    await open.cancel();
    return new Response(null, { headers });
  }
  if (state.kind === "succeeded") {
    const { body, headers } = render(rendering, state.document ?? "", warnings);
    return new Response(body, { headers: { ...headers, ...named } });
  }
  const warning = warningsHeader(warnings);
  const status =
    state.kind === "open"
      ? unfinishedStatus(state.status, rendering.background)
      : unfinishedStatus(state.kind, rendering.background);
  const error = state.kind === "failed" ? state.error : null;
  return Response.json(modelResponse(rendering, { status, error }), {
    headers: { ...named, ...(warning === null ? {} : { "x-warnings": warning }) },
  });
}

async function openLarge(c: EdgeContext, id: string) {
  const stream = await responsesOf(c).document(id);
  if (stream === null) throw responseNotFound();
  return openChunks(chunksOf(stream));
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* stream;
}

/**
 * From the log of its job, as long as there is one; then from what is kept, by the same events.
 * @param after how many events the reader has
 */
async function streamStored(
  c: EdgeContext,
  stored: StoredResponse,
  after: number,
): Promise<Response> {
  const { job, rendering, state } = stored;
  const end = outcomeOf(state);
  const live = job === null ? null : await streamOfJob(c, job, after, rendering);
  if (live !== null) return live;
  if (state.kind === "succeeded" && state.document === null) {
    throw new CodedError(
      "invalid_value",
      "This response is too large to be told by events again. Ask for it without stream.",
      { param: "stream" },
    );
  }
  const told = end === null ? null : await responsesOf(c).told(rendering.id);
  const log = endedLog(end ?? { status: "failed", error: unheard }, told);
  const createdAt = 1_000 * rendering.created;
  const { readable } = new EventStream({
    log,
    renderer: new StreamRenderer({ jobId: job ?? "", createdAt, rendering }, false, after),
    after,
    whereResult: whereResultOf(rendering, ""),
    settings: settingsOf(c.env),
    waiting: () => null,
    onGone: () => {},
  });
  return new Response(readable, { headers: streamHeaders(job) });
}

const unheard: PublicError = {
  code: "worker_lost",
  message: "Nothing is known of this response now. Ask for it again in a minute.",
  param: null,
};

function streamOfJob(c: EdgeContext, id: JobId, after: number, rendering: ResponseRendering) {
  const { tenant } = c.get("caller");
  return streamJob(c, { id, tenant, graceMilliseconds: graceOf(c), after }, rendering);
}

/** Null: it goes on. */
function outcomeOf(state: StoredResponse["state"]): Outcome | null {
  switch (state.kind) {
    case "open":
      return null;
    case "succeeded":
      return { status: "succeeded", result: { kind: "inline", document: state.document ?? "" } };
    case "failed":
      return { status: "failed", error: state.error };
    case "canceled":
      return { status: "canceled" };
  }
}
