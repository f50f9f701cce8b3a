/**
 * The API surfaces that stream: a row says by which server-sent events a result is told while it is made. What is told
 * stands in the log of its computation (edge/jobs/event-log.ts), one numbered entry after the other, so a row looks at
 * one entry by itself and keeps nothing: a reader may begin anywhere. The last event of an entry bears its number as
 * its SSE id. A surface whose events hang together, and bear numbers of its own, has a teller instead, which goes
 * through the whole log for each reader.
 */
import type { PublicError } from "#contract/errors.ts";
import type { Piece } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import type { ResultHead } from "#contract/result-document.ts";
import type { JobProgress } from "./job.ts";
import type { Rendering, RenderingOf } from "./rendering.ts";
import { huggingFaceError, openaiError } from "./error-forms.ts";
import { chatChunks, chunksEnd, completionChunks, tgiChunks } from "./generation-streams.ts";
import { ResponseTeller } from "./response-stream.ts";
import type { SentEvent, StreamEntry, StreamHead, StreamTeller } from "./stream-entry.ts";
import { renderError, resultFormOf, usageBody } from "./surfaces.ts";

type StreamSurface<R extends Rendering> = {
  /** A worker has begun. Absent here and below: it is not told. */
  started?: (rendering: R, jobId: JobId) => SentEvent[];
  progress?: (rendering: R, progress: JobProgress) => SentEvent[];
  /**
   * A choice has grown. Its first piece has `from` and `textFrom` 0, its last a finish reason, and each goes on where
   * the one before ended; those of a result that was there already come in the same way.
   * @param textSoFar the choice's text, this piece included
   */
  piece?: (rendering: R, head: StreamHead, piece: Piece, textSoFar: () => string) => SentEvent[];
  /** One whole output of a task that generates nothing. @param output JSON, as the worker wrote it */
  output?: (rendering: R, head: ResultHead, index: number, output: string) => SentEvent[];
  /** After the last piece of the last choice: usage where it is told, `[DONE]` where the surface has it. */
  end: (rendering: R, head: StreamHead, result: ResultHead) => SentEvent[];
  /** @param error in the caller's words */
  error: (rendering: R, error: PublicError) => SentEvent[];
};

/** OpenAI's form on every surface that has no other: `data: {"error": …}`, then the stream ends. */
const plainError = (_: Rendering, error: PublicError): SentEvent[] => [
  { data: JSON.stringify(openaiError.body(error)) },
];

/**
 * Of any job, as `GET /v1/jobs/{id}/events` tells it: `start`, `progress`, `output` for each piece or whole output,
 * `completed`, or `error`.
 */
const jobEvents: StreamSurface<Rendering> = {
  started: (_, id) => [{ event: "start", data: JSON.stringify({ id }) }],
  progress: (_, { completed, total }) => [
    { event: "progress", data: JSON.stringify({ completed, total }) },
  ],
  piece: (_, __, { input, choice, from, tokens, text, logprobs, toolCalls, finishReason }) => [
    {
      event: "output",
      data: JSON.stringify({
        index: input,
        choice,
        tokens_before: from,
        tokens,
        text,
        logprobs: logprobs ?? null,
        ...(toolCalls && { tool_calls: toolCalls.map(({ argumentsFrom: _at, ...call }) => call) }),
        finish_reason: finishReason ?? null,
      }),
    },
  ],
  output: (_, head, index, output) => {
    const { show } = resultFormOf({ route: "tasks" }, head);
    const shown = show === null ? output : show(JSON.parse(output), index);
    return [{ event: "output", data: `{"index":${index},"output":${shown}}` }];
  },
  end: (_, { jobId }, { model, usage }) => [
    {
      event: "completed",
      data: JSON.stringify({ id: jobId, status: "succeeded", model, usage: usageBody(usage) }),
    },
  ],
  error: (rendering, error) =>
    plainError(rendering, error).map((event) => ({ event: "error", ...event })),
};

/** Surfaces that are not here do not stream. */
const streams: { readonly [Route in Rendering["route"]]?: StreamSurface<RenderingOf<Route>> } = {
  tasks: jobEvents,
  "openai.chat": {
    piece: chatChunks,
    end: (form, head, { usage }) => chunksEnd("chat.completion.chunk", form, head, usage),
    error: plainError,
  },
  "openai.completions": {
    piece: completionChunks,
    end: (form, head, { usage }) => chunksEnd("text_completion", form, head, usage),
    error: plainError,
  },
  // Its last token says that it is the last: nothing follows.
  "hugging-face.text-generation": {
    piece: (form, _, piece, textSoFar) => tgiChunks(form, piece, textSoFar),
    end: () => [],
    error: (_, error) => [{ data: JSON.stringify(huggingFaceError.body(error)) }],
  },
};

/** @param after how many of its events the reader has */
function tellerOf(rendering: Rendering, after: number): StreamTeller | null {
  return rendering.route === "openai.responses" ? new ResponseTeller(rendering, after) : null;
}

/** Told to a reader whose events are gone. */
export function whereResultOf(rendering: Rendering, jobId: string): string {
  return rendering.route === "openai.responses"
    ? `The whole response, where it was stored, is at GET /v1/responses/${rendering.id}.`
    : `The whole result, where the job was kept, is at /v1/jobs/${jobId}.`;
}

export function canStream({ route }: Rendering): boolean {
  return streams[route] !== undefined || route === "openai.responses";
}

export type StreamView = Pick<StreamHead, "jobId" | "createdAt"> & { rendering: Rendering };

/** Tells a reader of a stream, in the words of the surface that it called, what stands in a log. */
export class StreamRenderer {
  readonly #view: StreamView;
  readonly #surface: StreamSurface<Rendering>;
  readonly #teller: StreamTeller | null;

  /**
   * @param ofJob as `GET /v1/jobs/{id}/events` tells it, whatever the surface of the call was
   * @param after how many events the reader has, where the surface numbers them itself
   */
  constructor(view: StreamView, ofJob = false, after = 0) {
    this.#view = view;
    this.#surface = ofJob ? jobEvents : surfaceOf(view.rendering);
    this.#teller = ofJob ? null : tellerOf(view.rendering, after);
  }

  /** It is to be shown a log from its first entry, whatever its reader has. */
  get startsOver(): boolean {
    return this.#teller !== null;
  }

  /** @returns what comes before the first entry; often nothing */
  begin(): string {
    return eventText(this.#teller?.begin() ?? [], null);
  }

  /** @param id null: of an entry that stands in no log @returns server-sent events as text; often none */
  show(entry: StreamEntry, id: number | null): string {
    return eventText(this.#eventsOf(entry), id);
  }

  #eventsOf(entry: StreamEntry): SentEvent[] {
    const { rendering, jobId } = this.#view;
    const surface = this.#surface;
    if (this.#teller !== null) {
      const { kind } = entry;
      const own =
        kind === "error" ? { ...entry, error: renderError(rendering, entry.error) } : entry;
      return this.#teller.tell(own);
    }
    switch (entry.kind) {
      case "started":
        return surface.started?.(rendering, jobId) ?? [];
      case "progress":
        return surface.progress?.(rendering, entry) ?? [];
      case "piece": {
        const { made, piece, textSoFar } = entry;
        return surface.piece?.(rendering, { ...this.#view, ...made }, piece, textSoFar) ?? [];
      }
      case "output":
        return surface.output?.(rendering, entry.result, entry.index, entry.output) ?? [];
      case "end":
        return surface.end(rendering, { ...this.#view, ...entry.result }, entry.result);
      case "error":
        return surface.error(rendering, renderError(rendering, entry.error));
    }
  }
}

/** A row takes the rendering that bears its name: the one thing TypeScript cannot see of such a table. */
function surfaceOf({ route }: Rendering): StreamSurface<Rendering> {
  return (streams[route] ?? jobEvents) as StreamSurface<Rendering>;
}

/** A comment, which clients ignore. */
export function commentText(comment: string): string {
  return `: ${comment}\n\n`;
}

/** The id on the last alone: who has it has all of them. */
function eventText(events: readonly SentEvent[], id: number | null): string {
  return events
    .map(({ event, data }, index) => {
      const idLine = id !== null && index === events.length - 1 ? `id: ${id}\n` : "";
      return `${idLine}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
    })
    .join("");
}
