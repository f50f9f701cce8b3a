/** Server-sent events of an answer, read as they come. */
export type SseEvent = { id?: string; event?: string; data: Record<string, unknown> };

/** Reads server-sent events, by the letter of their specification as far as it is used here. */
export class SseReader {
  readonly #reader: ReadableStreamDefaultReader<string>;
  /** Reads that brought something. */
  chunks = 0;
  #text = "";
  #ended = false;

  constructor({ body }: Response) {
    if (body === null) throw new Error("a stream has no body");
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @returns the next event, comments left out; null at the end */
  async next(): Promise<SseEvent | null> {
    for (;;) {
      const block = await this.#block();
      if (block === null) return null;
      if (!block.startsWith(":")) return parsed(block);
    }
  }

  /** @returns the next block, which is a comment */
  async comment(): Promise<string> {
    const block = await this.#block();
    if (block === null || !block.startsWith(": ")) throw new Error(`no comment: ${block}`);
    return block.slice(2);
  }

  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    for (let event = await this.next(); event !== null; event = await this.next()) {
      events.push(event);
    }
    return events;
  }

  async #block(): Promise<string | null> {
    while (!this.#text.includes("\n\n")) {
      if (this.#ended) return null;
      const { value = "", done } = await this.#reader.read();
      this.chunks += value === "" ? 0 : 1;
      this.#text += value;
      this.#ended = done;
    }
    const end = this.#text.indexOf("\n\n");
    const block = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    return block;
  }
}

function parsed(block: string): SseEvent {
  const fields = block.split("\n").map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  const { data = "null", ...rest } = Object.fromEntries(fields);
  return { ...rest, data: data === "[DONE]" ? { done: true } : JSON.parse(data) };
}
