/**
 * A response as OpenAI's events tell it while it is written. They are numbered from 0, and what ends an item repeats
 * all of it, so one who tells them goes through a log from its first entry, whatever of it the reader has already: the
 * same log gives the same events each time.
 */
import type { Piece } from "#contract/events.ts";
import type { ToolCallPiece } from "#contract/tasks/tool-call.ts";
import type { ResultHead } from "#contract/result-document.ts";
import { openaiError } from "./error-forms.ts";
import {
  modelResponse,
  type ResponseRendering,
  type ResponseState,
  statusOf,
} from "./model-response.ts";
import {
  type FunctionCall,
  itemId,
  type ItemLogprob,
  itemLogprobs,
  type ItemStatus,
  type OutputItem,
  outputText,
  type WrittenMessage,
} from "./response-items.ts";
import type { SentEvent, StreamEntry, StreamTeller } from "./stream-entry.ts";

/** Of log probabilities that the last events repeat, those of alternatives included; where there are more, none. */
const repeatedLogprobsMax = 50_000;

type Fields = { type: string } & Record<string, unknown>;
/** The item that grows. */
type Open =
  | { item: WrittenMessage; index: number; textFrom: number }
  | { item: FunctionCall; index: number; call: number };

export class ResponseTeller implements StreamTeller {
  readonly #rendering: ResponseRendering;
  /** How many events the reader has. */
  readonly #after: number;
  #next = 0;
  #begun = false;
  #open: Open | null = null;
  readonly #done: OutputItem[] = [];
  /** Blanks that may be no message: what follows tells. */
  #held = { text: "", textFrom: 0, logprobs: [] as ItemLogprob[] };
  /** Of the message that grows; null: too many. */
  #logprobs: ItemLogprob[] | null = [];
  #logprobCount = 0;
  #finished: "completed" | "incomplete" = "completed";

  constructor(rendering: ResponseRendering, after: number) {
    this.#rendering = rendering;
    this.#after = after;
  }

  begin(): SentEvent[] {
    const { background } = this.#rendering;
    const status = background ? "queued" : "in_progress";
    return this.#number([
      this.#lifecycle("response.created", { status }),
      ...(background ? [this.#lifecycle("response.queued", { status })] : this.#begin()),
    ]);
  }

  tell(entry: StreamEntry): SentEvent[] {
    return this.#number(this.#eventsOf(entry));
  }

  #eventsOf(entry: StreamEntry): Fields[] {
    switch (entry.kind) {
      case "started":
        return this.#begin();
      case "piece":
        return [...this.#begin(), ...this.#grow(entry.piece, entry.textSoFar)];
      case "end":
        return [...this.#begin(), this.#end(entry.result)];
      case "error":
        return [this.#fail(entry)];
      case "progress":
      case "output":
        return [];
    }
  }

  /** Those that the reader has are counted, and not told. */
  #number(events: readonly Fields[]): SentEvent[] {
    const first = this.#next;
    this.#next += events.length;
    return events
      .map((fields, at) => ({ ...fields, sequence_number: first + at }))
      .filter(({ sequence_number: number }) => number >= this.#after)
      .map((fields) => ({ event: fields["type"], data: JSON.stringify(fields) }));
  }

  #lifecycle(type: string, state: ResponseState): Fields {
    return { type, response: modelResponse(this.#rendering, state) };
  }

  #begin(): Fields[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [this.#lifecycle("response.in_progress", { status: "in_progress" })];
  }

  #grow(
    { text, textFrom, logprobs = [], toolCalls = [], finishReason }: Piece,
    soFar: () => string,
  ) {
    const events = this.#write(text, textFrom, itemLogprobs(logprobs));
    for (const call of toolCalls) events.push(...this.#call(call, soFar));
    if (finishReason === undefined) return events;
    this.#finished = statusOf(finishReason);
    const nothing = this.#open === null && this.#done.length === 0;
    if (nothing) events.push(...this.#openMessage());
    return [...events, ...this.#close(soFar, this.#finished)];
  }

  #write(text: string, textFrom: number, logprobs: ItemLogprob[]): Fields[] {
    const { content } = this.#open?.item.type === "message" ? this.#open.item : { content: null };
    if (content !== null) return this.#delta(text, logprobs);
    const held = this.#held;
    if (held.text === "") held.textFrom = textFrom;
    held.text += text;
    held.logprobs.push(...logprobs);
    // Text that follows a call is a message of its own.
    if (held.text.trim() === "") return [];
    return [...this.#closeCall("completed"), ...this.#openMessage()];
  }

  #openMessage(): Fields[] {
    const { text, textFrom, logprobs } = this.#held;
    this.#held = { text: "", textFrom: 0, logprobs: [] };
    const item: WrittenMessage = {
      ...this.#identity("message"),
      type: "message",
      role: "assistant",
      status: "in_progress",
      content: [],
    };
    const index = this.#done.length;
    this.#open = { item, index, textFrom };
    return [
      { type: "response.output_item.added", output_index: index, item },
      this.#ofPart("response.content_part.added", { part: outputText("", []) }),
      ...this.#delta(text, logprobs),
    ];
  }

  #delta(delta: string, logprobs: ItemLogprob[]): Fields[] {
    if (delta === "" && logprobs.length === 0) return [];
    this.#logprobCount += logprobs.reduce((sum, each) => sum + 1 + each.top_logprobs.length, 0);
    if (this.#logprobCount > repeatedLogprobsMax) this.#logprobs = null;
    this.#logprobs?.push(...logprobs);
    return [this.#ofPart("response.output_text.delta", { delta, logprobs })];
  }

  #call({ index, id, name, arguments: text }: ToolCallPiece, soFar: () => string): Fields[] {
    const events: Fields[] = [];
    if (id !== undefined && name !== undefined) {
      events.push(...this.#close(soFar, "completed"), ...this.#openCall(index, id, name));
    }
    const open = this.#open;
    if (open === null || !("call" in open) || open.call !== index || text === "") return events;
    open.item.arguments += text;
    const place = { item_id: open.item.id, output_index: open.index };
    return [...events, { type: "response.function_call_arguments.delta", ...place, delta: text }];
  }

  #openCall(call: number, call_id: string, name: string): Fields[] {
    // Blanks before a call are no message.
    this.#held = { text: "", textFrom: 0, logprobs: [] };
    const index = this.#done.length;
    const type = "function_call";
    const status = "in_progress";
    const item = { ...this.#identity(type), type, status, call_id, name, arguments: "" } as const;
    this.#open = { item: { ...item }, index, call };
    return [{ type: "response.output_item.added", output_index: index, item }];
  }

  #close(soFar: () => string, status: ItemStatus): Fields[] {
    const open = this.#open;
    if (open === null || "call" in open) return this.#closeCall(status);
    const text = soFar().slice(open.textFrom);
    const part = outputText(text, this.#logprobs ?? []);
    const events = [
      this.#ofPart("response.output_text.done", { text, logprobs: part.logprobs }),
      this.#ofPart("response.content_part.done", { part }),
      ...this.#finishItem(open.index, { ...open.item, status, content: [part] }),
    ];
    this.#logprobs = [];
    return events;
  }

  #closeCall(status: ItemStatus): Fields[] {
    const open = this.#open;
    if (open === null || !("call" in open)) return [];
    const { index, item } = open;
    const { id, name, arguments: text } = item;
    const place = { item_id: id, output_index: index };
    return [
      { type: "response.function_call_arguments.done", ...place, name, arguments: text },
      ...this.#finishItem(index, { ...item, status }),
    ];
  }

  #finishItem(output_index: number, item: OutputItem): Fields[] {
    this.#open = null;
    this.#done.push(item);
    return [{ type: "response.output_item.done", output_index, item }];
  }

  #identity(type: OutputItem["type"]): { id: string } {
    const place = { response: this.#rendering.id, side: "out", index: this.#done.length } as const;
    return { id: itemId(type, place) };
  }

  /** Of the one part of the message that grows. */
  #ofPart(type: string, fields: object): Fields {
    const { item, index } = this.#open ?? { item: { id: "" }, index: 0 };
    return { type, item_id: item.id, output_index: index, content_index: 0, ...fields };
  }

  #end({ usage }: ResultHead): Fields {
    const status = this.#finished;
    return this.#lifecycle(`response.${status}`, { status, output: this.#done, usage });
  }

  #fail({ error, outcome, isLate }: Extract<StreamEntry, { kind: "error" }>): Fields {
    // Whatever the reader has, it is told.
    if (outcome === undefined || isLate === true) this.#next = Math.max(this.#next, this.#after);
    if (outcome === undefined) {
      const { code, message, param } = error;
      // OpenAI's clients throw what has an `error`: the stream is over, whatever became of the response.
      return { type: "error", code, message, param, ...openaiError.body(error) };
    }
    const output = this.#done;
    const ended = outcome === "canceled";
    const state: ResponseState = ended
      ? { status: "cancelled", output }
      : { status: "failed", output, error };
    return this.#lifecycle("response.failed", state);
  }
}
