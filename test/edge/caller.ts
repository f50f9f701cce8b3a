/** A caller of the edge under test. Each test that counts calls from an address of its own. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { app } from "../../edge/app.ts";
import { isolateBindings } from "./isolate.ts";

export type CallOptions = {
  method?: string;
  headers?: Record<string, string>;
  /** Where the call comes from, as Cloudflare would say. */
  address?: string;
  operator?: boolean;
  /** In place of the file's: one object for all calls that share an isolate. */
  bindings?: typeof env;
};

export async function call(
  path: string,
  body?: unknown,
  options: CallOptions = {},
): Promise<Response> {
  const { method = body === undefined ? "GET" : "POST", headers = {} } = options;
  const bindings = options.bindings ?? isolateBindings();
  const request = new Request(`https://edge.test${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      "cf-connecting-ip": options.address ?? "192.0.2.1",
      ...(options.operator ? { authorization: `Bearer ${env.OPERATOR_KEY}` } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: bytesOf(body) }),
  });
  const context = createExecutionContext();
  const response = await app.fetch(request, bindings, context);
  await waitOnExecutionContext(context);
  return response;
}

function bytesOf(body: unknown): string | Uint8Array | ReadableStream {
  const asItIs =
    typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  return asItIs ? body : JSON.stringify(body);
}

/** Bindings with some variables changed, as in another wrangler.toml. */
export function bindingsWith(changed: {
  [Name in keyof typeof env as string extends (typeof env)[Name] ? Name : never]?: string;
}): typeof env {
  return { ...env, ...changed };
}

let addresses = 0;

/** An address nobody has called from yet. */
export function freshAddress(): string {
  addresses += 1;
  return `198.51.${Math.floor(addresses / 250)}.${(addresses % 250) + 1}`;
}

export type ErrorBody = {
  error: { message: string; type: string; param: string | null; code: string };
};

/** Status and error of an answer in OpenAI's form. */
export async function errorOf(response: Response) {
  const { error } = await response.json<ErrorBody>();
  return { status: response.status, ...error };
}
