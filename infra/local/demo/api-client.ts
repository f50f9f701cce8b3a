/** A caller of the running platform, as plain as curl: what it sent, what came, and whether that was as it must be. */
import * as z from "zod";

export type Reply = { status: number; headers: Headers; body: unknown; elapsedMs: number };

export class ApiClient {
  readonly url: string;
  readonly operatorKey: string;

  constructor(url: string, operatorKey: string) {
    this.url = url;
    this.operatorKey = operatorKey;
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    return this.#send(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  }

  get(path: string): Promise<Reply> {
    return this.#send(path, { method: "GET", headers: {} });
  }

  async #send(
    path: string,
    init: { method: string; headers: Record<string, string>; body?: string },
  ): Promise<Reply> {
    const sentAt = performance.now();
    const response = await fetch(`${this.url}${path}`, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${this.operatorKey}` },
    });
    const body: unknown = await response.json();
    return {
      status: response.status,
      headers: response.headers,
      body,
      elapsedMs: performance.now() - sentAt,
    };
  }
}

/** @throws with the answer, where it is not `status` in the form of `schema` */
export function expectBody<T>(reply: Reply, schema: z.ZodType<T>, status = 200): T {
  if (reply.status !== status) {
    throw new Error(`expected ${status}, got ${reply.status}: ${JSON.stringify(reply.body)}`);
  }
  const parsed = schema.safeParse(reply.body);
  if (parsed.success) return parsed.data;
  throw new Error(`an answer of another form: ${z.prettifyError(parsed.error)}`);
}

/** @throws with `message` */
export function expectTrue(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}
