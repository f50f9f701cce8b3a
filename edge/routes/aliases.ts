/**
 * Names of a key's own for what it has tuned: POST and GET /v1/aliases, GET and DELETE one, and POST its rollback. An
 * alias is called as `ft:@<alias>` wherever a tuned model is.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { TunedModelName } from "#contract/training/tuned-model.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import {
  aliasCalled,
  aliasLimits,
  AliasName,
  calledName,
  type ModelAlias,
} from "../registry/model-alias.ts";
import { forgetAlias } from "../registry/own-models.ts";
import type { AliasRefusal } from "../registry/tuned-models.ts";

const bodyBytesMax = 16 * 1024;
const nameMax = 200;

export const AliasRequest = z.strictObject({
  alias: z.string().max(nameMax).describe("Lower-case letters, digits, - and _, 64 at most."),
  model: z.string().max(nameMax).describe("A tuned model of this key: ft:<base>:<suffix>:<id>."),
  rollout: z
    .strictObject({
      model: z.string().max(nameMax).describe("A second tuned model, of the same tasks."),
      share: z.number().gt(0).lt(1).describe("Of the requests, those that it answers."),
    })
    .optional()
    .describe("Tries another model on a part of the requests. Default: all go to the one."),
});

export const AliasObject = z.object({
  object: z.literal("alias").describe("What this is."),
  id: z.string().describe("What is called, as the model of a request."),
  alias: z.string().describe("Its name."),
  model: z.string().describe("The tuned model that it points to."),
  rollout: z
    .object({
      model: z.string().describe("The second model."),
      share: z.number().describe("Of the requests, those that it answers."),
    })
    .nullable()
    .describe("Null: all requests go to the one model."),
  history: z
    .array(
      z.object({
        model: z.string().describe("A model that it pointed to."),
        until: z.int().describe("Unix time in seconds."),
      }),
    )
    .describe("What it pointed to before, the newest first: where a rollback goes."),
  created_at: z.int().describe("Unix time in seconds."),
  changed_at: z.int().describe("When it was last pointed somewhere. Unix time in seconds."),
});
export type AliasObject = z.infer<typeof AliasObject>;

export const AliasList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(AliasObject).describe("The aliases of the key, by name."),
});

export const DeletedAlias = z.object({
  id: z.string().describe("Of the alias."),
  object: z.literal("alias").describe("What it was."),
  deleted: z.literal(true).describe("It answers no more, within a second everywhere."),
});

function aliasesOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Aliases");
  return { tenant, models: c.env.TUNED_MODELS.getByName(tenant) };
}

export async function pointAlias(c: EdgeContext): Promise<Response> {
  const { models } = aliasesOf(c);
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  const request = validate(AliasRequest, parseJson(decodeText(body)));
  const { alias, rollout } = request;
  const name = AliasName.safeParse(alias);
  if (!name.success) throw noAliasName(alias);
  const asked = {
    name: name.data,
    model: tunedModelOf(request.model, "model"),
    rollout:
      rollout === undefined
        ? null
        : { share: rollout.share, model: tunedModelOf(rollout.model, "rollout.model") },
  };
  if (asked.rollout?.model === asked.model) throw sameModel();
  const answer = await models.pointAlias(asked);
  if ("refusal" in answer) throw refused(answer.refusal, asked);
  forgetAlias(c, asked.name);
  return c.json(showAlias(answer.alias));
}

function sameModel(): CodedError {
  return new CodedError(
    "invalid_value",
    "rollout.model is model itself. Name a second model, or leave rollout out.",
    { param: "rollout.model" },
  );
}

function noAliasName(alias: string): CodedError {
  return new CodedError(
    "invalid_value",
    `${JSON.stringify(alias.slice(0, 80))} is no name of an alias. Send lower-case letters, digits, - and _, a ` +
      "letter or a digit first, 64 characters at most. It is called with ft:@ before it, and created without.",
    { param: "alias" },
  );
}

/** @throws CodedError of a name that no tuned model can have */
function tunedModelOf(text: string, param: string): TunedModelName {
  const name = TunedModelName.safeParse(text);
  if (name.success) return name.data;
  throw new CodedError(
    "invalid_value",
    aliasCalled(text) === null
      ? `${param} is no tuned model. Name one of those that this key has tuned: ft:<base>:<suffix>:<id>.`
      : `${param} is an alias, and an alias points to a model. Name the model that ${text} points to.`,
    { param },
  );
}

function refused(
  refusal: AliasRefusal,
  { model, rollout }: Pick<ModelAlias, "model" | "rollout">,
): CodedError {
  switch (refusal) {
    case "model":
    case "rollout.model": {
      const missing = refusal === "model" ? model : (rollout?.model ?? model);
      return new CodedError(
        "model_not_found",
        `There is no model ${JSON.stringify(missing)} here. Use one of this key's tuned models: GET /v1/models.`,
        { param: refusal },
      );
    }
    case "tasks":
      return new CodedError(
        "invalid_value",
        "rollout.model does other tasks than model. Name one that was tuned for the same.",
        { param: "rollout.model" },
      );
    case "aliases":
      return new CodedError(
        "insufficient_quota",
        `A key may have ${aliasLimits.aliasesMax} aliases, and there are as many. Delete one that is not needed.`,
      );
  }
}

export async function listAliases(c: EdgeContext): Promise<Response> {
  const { models } = aliasesOf(c);
  const data = (await models.aliases()).map(showAlias);
  return c.json({ object: "list", data } satisfies z.infer<typeof AliasList>);
}

export async function getAlias(c: EdgeContext): Promise<Response> {
  const { models } = aliasesOf(c);
  const alias = await models.findAlias(aliasNameOf(c));
  if (alias === null) throw aliasNotFound();
  return c.json(showAlias(alias));
}

export async function rollBackAlias(c: EdgeContext): Promise<Response> {
  const { models } = aliasesOf(c);
  const name = aliasNameOf(c);
  const answer = await models.rollBackAlias(name);
  if (answer === null) throw aliasNotFound();
  if (answer.alias === null) {
    throw new CodedError(
      "invalid_value",
      `${calledName(name)} has no rollout, and pointed to no other model that is still there. ` +
        "Point it to one: POST /v1/aliases.",
      { param: "alias" },
    );
  }
  forgetAlias(c, name);
  return c.json(showAlias(answer.alias));
}

export async function deleteAlias(c: EdgeContext): Promise<Response> {
  const { tenant, models } = aliasesOf(c);
  const name = aliasNameOf(c);
  if (!(await models.removeAlias(name))) throw aliasNotFound();
  await c.env.LEARNING.getByName(tenant).removeRetune(name);
  forgetAlias(c, name);
  const id = calledName(name);
  return c.json({ id, object: "alias", deleted: true } satisfies z.infer<typeof DeletedAlias>);
}

/** The alias in an address, also as it is called. @throws CodedError `not_found` where it is none */
export function aliasNameOf(c: EdgeContext): string {
  const text = c.req.param("alias") ?? "";
  const name = aliasCalled(text) ?? AliasName.safeParse(text).data;
  if (name === undefined) throw aliasNotFound();
  return name;
}

export function aliasNotFound(): CodedError {
  return new CodedError("not_found", "No such alias. Aliases are kept for their key alone.", {
    param: "alias",
  });
}

function showAlias(alias: ModelAlias): AliasObject {
  const { name, model, rollout, history, createdAt, changedAt } = alias;
  return {
    object: "alias",
    id: calledName(name),
    alias: name,
    model,
    rollout,
    history: history.map((each) => ({ model: each.model, until: seconds(each.until) })),
    created_at: seconds(createdAt),
    changed_at: seconds(changedAt),
  };
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}
