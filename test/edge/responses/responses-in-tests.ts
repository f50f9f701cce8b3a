/** What tests of responses have in common: calls, and objects as callers see them. */
import { call, type CallOptions } from "../caller.ts";
import { decoder } from "../stand-in-worker.ts";

export const path = "/v1/responses";
export const model = decoder.id;

export type ResponseBody = {
  id: string;
  object: string;
  status: string;
  error: { code: string; message: string } | null;
  output: { id: string; type: string; status: string; content: { text: string }[] }[];
  usage?: Record<string, unknown>;
};

export function create(body: object, options: CallOptions = {}): Promise<Response> {
  const whole = { model, input: "What is the capital of France?", ...body };
  return call(path, whole, { operator: true, ...options });
}

export async function created(body: object, options: CallOptions = {}): Promise<ResponseBody> {
  const response = await create(body, options);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json();
}

export async function get(id: string, options: CallOptions = {}) {
  const response = await call(`${path}/${id}`, undefined, { operator: true, ...options });
  return { status: response.status, body: await response.json<ResponseBody>() };
}

export async function itemsOf(id: string, query = "") {
  const response = await call(`${path}/${id}/input_items${query}`, undefined, { operator: true });
  type Items = { data: { id: string; role: string; content: { text: string }[] }[] };
  return response.json<Items & { first_id: string; last_id: string; has_more: boolean }>();
}

export function remove(id: string, options: CallOptions = {}): Promise<Response> {
  return call(`${path}/${id}`, undefined, { operator: true, ...options, method: "DELETE" });
}
