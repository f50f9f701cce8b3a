/**
 * The two HTTP calls a download is made of, over undici's own client: one request, redirects left to the caller, and
 * the words for an answer that is no success. Credentials are the caller's business: nothing here adds or forwards any.
 */
import { type Dispatcher, request } from "undici";

export type Answer = {
  status: number;
  /** Single values; of a repeated header the first. Names in lower case. */
  header: (name: string) => string | null;
  body: Dispatcher.ResponseData["body"];
};

export type Call = {
  method: "GET" | "HEAD";
  url: string;
  headers: Record<string, string>;
  dispatcher: Dispatcher;
  signal: AbortSignal;
};

export async function call({ method, url, headers, dispatcher, signal }: Call): Promise<Answer> {
  // Byte counts and ranges mean the file itself, so no content coding may come between.
  const identity = { "accept-encoding": "identity", "user-agent": "llm-os" };
  const answer = await request(url, {
    method,
    dispatcher,
    signal,
    headers: { ...identity, ...headers },
  });
  const header = (name: string) => {
    const value = answer.headers[name];
    return (Array.isArray(value) ? value[0] : value) ?? null;
  };
  return { status: answer.statusCode, header, body: answer.body };
}

export function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** The address a redirect names, made absolute. @throws where it names none that HTTP can reach */
export function redirectTarget(answer: Answer, from: string): string {
  const location = answer.header("location");
  if (location === null) throw new Error(`${from} redirects without naming a place`);
  const target = new URL(location, from);
  if (!/^https?:$/.test(target.protocol))
    throw new Error(`${from} redirects to ${target.protocol}`);
  return target.href;
}

export function sameOrigin(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}
