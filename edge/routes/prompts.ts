/**
 * Prompts of a key, and those of the platform: POST and GET /v1/prompts, GET and DELETE one, its versions, and POST of
 * a new one. What a conversation makes of a prompt is prompts/apply-prompt.ts.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { promptLimits } from "#contract/prompts/prompt.ts";
import { readyPrompt, readyPrompts } from "#contract/prompts/ready-prompts.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { randomHex } from "../http/random-hex.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import { findPrompt, promptNotFound, readyVersion, VersionNumber } from "../prompts/find-prompt.ts";
import {
  formatPromptId,
  PromptId,
  type PromptRefusal,
  promptStorage,
  type StoredVersion,
} from "../prompts/stored-prompt.ts";
import {
  contentOf,
  type DeletedPrompt,
  type PromptList,
  PromptRequest,
  seconds,
  showEntry,
  showPrompt,
  type VersionList,
  VersionRequest,
} from "./prompt-request.ts";

/** With every character of a version escaped. */
const bodyBytesMax = 4 * promptLimits.versionBytesMax;
const pageMax = 100;

export function promptsOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Prompts");
  return { tenant, prompts: c.env.PROMPTS.getByName(tenant) };
}

async function bodyOf<T>(c: EdgeContext, schema: z.ZodType<T>): Promise<T> {
  const permit = new BodyPermit(c.req.raw);
  try {
    const body = await readDecodedBody(c.req.raw, bodyBytesMax, permit);
    return validate(schema, parseJson(decodeText(body)));
  } finally {
    permit.release();
  }
}

export async function createPrompt(c: EdgeContext): Promise<Response> {
  const { prompts } = promptsOf(c);
  const { name, ...content } = await bodyOf(c, PromptRequest);
  const id = formatPromptId(randomHex());
  return answer(c, await prompts.create(id, name, contentOf(content)));
}

export async function createPromptVersion(c: EdgeContext): Promise<Response> {
  const { prompts } = promptsOf(c);
  const id = ownIdOf(c);
  const content = contentOf(await bodyOf(c, VersionRequest));
  return answer(c, await prompts.add(id, content));
}

function answer(c: EdgeContext, kept: StoredVersion | PromptRefusal | null): Response {
  if (kept === null) throw promptNotFound("prompt");
  if (typeof kept === "string") throw refused(kept);
  return c.json(showPrompt(kept));
}

function refused(refusal: PromptRefusal): CodedError {
  const { promptsMax, versionsMax, bytesMax } = promptStorage;
  switch (refusal) {
    case "prompts":
      return noRoom(`A key may have ${promptsMax} prompts, and there are as many. Delete one`);
    case "versions":
      return noRoom(`A prompt may have ${versionsMax} versions, and there are as many. Delete one`);
    case "bytes":
      return noRoom(
        `The prompts of a key may have ${bytesMax} bytes, and there is no room left. Delete some`,
      );
  }
}

function noRoom(words: string): CodedError {
  return new CodedError("insufficient_quota", `${words} that is not needed.`);
}

/** @throws CodedError `not_found` for an id that none of the key's can have; of the platform's, that they stay */
function ownIdOf(c: EdgeContext): string {
  const id = c.req.param("id") ?? "";
  if (readyPrompt(id) !== undefined) {
    throw new CodedError(
      "insufficient_permissions",
      `${id} is the platform's, and stays as it is. Make a prompt of its messages: POST /v1/prompts.`,
      { param: "id" },
    );
  }
  if (PromptId.safeParse(id).success) return id;
  throw promptNotFound("prompt");
}

const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(pageMax).default(20),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().max(100).optional(),
  ready: z.enum(["true", "false"]).default("false"),
});

export async function listPrompts(c: EdgeContext): Promise<Response> {
  const { limit, order, after = null, ready } = validate(PageQuery, c.req.query());
  if (ready === "true") return c.json(pageOf(readyPrompts.map(shownReady), readyPrompts.length));
  const { prompts } = promptsOf(c);
  const page = await prompts.page({ limit: limit + 1, order, after });
  if (page === null) {
    const message = `There is no prompt ${after}. Send the last_id of the page before.`;
    throw new CodedError("invalid_value", message, { param: "after" });
  }
  return c.json(pageOf(page.map(showEntry), limit));
}

function shownReady({ id, name }: { id: string; name: string }) {
  return showEntry({ id, name, version: readyVersion, createdAt: 0, changedAt: 0 });
}

/** @param entries one more than the page has, where there are more */
function pageOf(entries: ReturnType<typeof showEntry>[], limit: number) {
  const data = entries.slice(0, limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: entries.length > limit,
  } satisfies z.infer<typeof PromptList>;
}

const VersionQuery = z.strictObject({ version: VersionNumber.optional() });

export async function getPrompt(c: EdgeContext): Promise<Response> {
  const { version = null } = validate(VersionQuery, c.req.query());
  return c.json(showPrompt(await findPrompt(c, c.req.param("id") ?? "", version)));
}

export async function getPromptVersion(c: EdgeContext): Promise<Response> {
  return c.json(showPrompt(await findPrompt(c, c.req.param("id") ?? "", versionOf(c))));
}

function versionOf(c: EdgeContext): number {
  const version = VersionNumber.safeParse(c.req.param("version"));
  if (version.success) return version.data;
  throw promptNotFound("version of a prompt", "version");
}

export async function listPromptVersions(c: EdgeContext): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const ready = readyPrompt(id) !== undefined;
  const versions = ready
    ? [{ version: readyVersion, createdAt: 0 }]
    : await promptsOf(c).prompts.versions(ownIdOf(c));
  if (versions.length === 0) throw promptNotFound("prompt");
  const data = versions.map(({ version, createdAt }) => ({
    object: "prompt.version" as const,
    version,
    created_at: seconds(createdAt),
  }));
  return c.json({ object: "list", data } satisfies z.infer<typeof VersionList>);
}

export async function deletePrompt(c: EdgeContext): Promise<Response> {
  const { prompts } = promptsOf(c);
  const id = ownIdOf(c);
  if (!(await prompts.remove(id))) throw promptNotFound("prompt");
  return c.json(deleted(id, null));
}

export async function deletePromptVersion(c: EdgeContext): Promise<Response> {
  const { prompts } = promptsOf(c);
  const [id, version] = [ownIdOf(c), versionOf(c)];
  const outcome = await prompts.removeVersion(id, version);
  if (outcome === "none") throw promptNotFound("version of a prompt", "version");
  if (outcome === "last") {
    throw new CodedError(
      "invalid_value",
      `${version} is the only version of ${id}. Delete the prompt: DELETE /v1/prompts/${id}.`,
      { param: "version" },
    );
  }
  return c.json(deleted(id, version));
}

function deleted(id: string, version: number | null): z.infer<typeof DeletedPrompt> {
  return { id, object: "prompt", version, deleted: true };
}
