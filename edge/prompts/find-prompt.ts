/** A prompt by its id: one that ships, which anybody may use, or one of the caller's key. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { readyPrompt } from "#contract/prompts/ready-prompts.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { PromptId, type StoredVersion } from "./stored-prompt.ts";

/** OpenAI's clients write a version as a text. */
export const VersionNumber = z.union([
  z.int().positive(),
  z
    .string()
    .regex(/^[1-9]\d{0,8}$/)
    .transform(Number),
]);

export const readyVersion = 1;

/**
 * @param version null: the newest
 * @param at the field that holds the id
 * @throws CodedError `not_found`; `insufficient_permissions` of another than those that ship, without a key
 */
export async function findPrompt(
  c: EdgeContext,
  id: string,
  version: number | null,
  at = "id",
): Promise<StoredVersion> {
  const shipped = shippedPrompt(c, id);
  if (shipped !== null && (version === null || version === readyVersion)) return shipped;
  const found = shipped === null ? await storedPrompt(c, id, version) : null;
  if (found !== null) return found;
  const newest = version === null ? null : (shipped ?? (await storedPrompt(c, id, null)));
  throw newest === null
    ? promptNotFound("prompt", at)
    : promptNotFound(`version ${version} of a prompt`, at.replace(/id$/, "version"));
}

async function storedPrompt(
  c: EdgeContext,
  id: string,
  version: number | null,
): Promise<StoredVersion | null> {
  if (!PromptId.safeParse(id).success) return null;
  return c.env.PROMPTS.getByName(keyOwner(c, "Prompts")).find(id, version);
}

export function promptNotFound(what: string, param = "id"): CodedError {
  return new CodedError(
    "not_found",
    `No such ${what}. Prompts are kept for their key alone; GET /v1/prompts lists them, and with ready=true those of ` +
      "the platform.",
    { param },
  );
}

function shippedPrompt(c: EdgeContext, id: string): StoredVersion | null {
  const shipped = readyPrompt(id);
  if (shipped === undefined) return null;
  const { name, messages, variables, examples, parameters } = shipped;
  const { promptModel: model } = settingsOf(c.env);
  const content = { messages, variables, examples, parameters, model };
  return { id, name, version: readyVersion, createdAt: 0, content, report: null };
}
