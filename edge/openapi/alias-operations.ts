/** The operations on aliases of tuned models. */
import { AliasList, AliasObject, AliasRequest, DeletedAlias } from "../routes/aliases.ts";
import { DeletedRetune, RetuneObject, RetuneRequest } from "../routes/retunes.ts";
import { fileId } from "./file-operations.ts";
import type { Operation } from "./operation.ts";

const modelOf = (digits: string) => `ft:all-MiniLM-L6-v2:mood:${digits}`;
const model = modelOf("5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21");
const next = modelOf("8d1b7c5a4f215f0c8a0e7b1d4c2f9a3e");

const aliasExample: AliasObject = {
  object: "alias",
  id: "ft:@mood",
  alias: "mood",
  model,
  rollout: { model: next, share: 0.1 },
  history: [{ model: modelOf("00000000000000000000000000000001"), until: 1_764_336_000 }],
  created_at: 1_764_330_000,
  changed_at: 1_764_336_000,
};

const retuneExample: RetuneObject = {
  object: "alias.retune",
  alias: aliasExample.id,
  min_examples: 100,
  every_days: 30,
  training_files: [fileId],
  share: 0.1,
  new_examples: 42,
  status: "idle",
  job: null,
  next_at: 1_766_928_000,
  events: [
    {
      created_at: 1_764_336_000,
      level: "info",
      message: `${next} is better: macro F1 rose from 0.71 to 0.82. It answers 0.1 of the requests.`,
    },
  ],
};

const path = "/v1/aliases";

type AliasOperation = Pick<Operation, "method" | "path" | "id" | "summary" | "description"> &
  Partial<Operation>;

function ofAliases(operation: AliasOperation): Operation {
  return {
    tag: "Learning from use",
    response: AliasObject,
    example: { response: aliasExample },
    errors: [401, 403, 404, 429, 500],
    headers: "any",
    ...operation,
  };
}

export const aliasOperations: readonly Operation[] = [
  ofAliases({
    method: "post",
    path,
    id: "pointAlias",
    summary: "Point an alias to a tuned model",
    description:
      "Creates it, or points it elsewhere. It is called as ft:@<alias> wherever a tuned model is, and an answer " +
      "names the model that made it. In a rollout the request itself decides: the same request goes the same way.",
    request: AliasRequest,
    example: {
      request: { alias: "mood", model, rollout: { model: next, share: 0.1 } },
      response: aliasExample,
    },
    errors: [400, 401, 403, 404, 408, 413, 415, 429, 500],
  }),
  ofAliases({
    method: "get",
    path,
    id: "listAliases",
    summary: "List aliases",
    description: "Those of the key that asks, by name.",
    response: AliasList,
    example: { response: { object: "list", data: [aliasExample] } },
  }),
  ofAliases({
    method: "get",
    path: `${path}/{alias}`,
    id: "getAlias",
    summary: "Ask for an alias",
    description: "What it points to, and pointed to before.",
  }),
  ofAliases({
    method: "delete",
    path: `${path}/{alias}`,
    id: "deleteAlias",
    summary: "Delete an alias",
    description: "The models that it points to stay.",
    response: DeletedAlias,
    example: { response: { id: aliasExample.id, object: "alias", deleted: true } },
  }),
  ofAliases({
    method: "post",
    path: `${path}/{alias}/rollback`,
    id: "rollBackAlias",
    summary: "Take the last change of an alias back",
    description:
      "Ends its rollout; where it has none, points it to the model before, of those that are still there.",
    example: { response: { ...aliasExample, rollout: null } },
    errors: [400, 401, 403, 404, 429, 500],
  }),
  ofAliases({
    method: "post",
    path: `${path}/{alias}/retune`,
    id: "askForRetune",
    summary: "Have an alias learn from corrections",
    description:
      "Enough new corrections, or a schedule, begin a training as the alias's model had, on its file and the " +
      "corrections. The alias moves only where the report says better.",
    request: RetuneRequest,
    response: RetuneObject,
    example: {
      request: { min_examples: 100, every_days: 30, share: 0.1 },
      response: retuneExample,
    },
    errors: [400, 401, 403, 404, 408, 413, 415, 429, 500],
  }),
  ofAliases({
    method: "get",
    path: `${path}/{alias}/retune`,
    id: "getRetune",
    summary: "How an alias learns from corrections",
    description: "What was asked for, how it stands, and what happened.",
    response: RetuneObject,
    example: { response: retuneExample },
  }),
  ofAliases({
    method: "delete",
    path: `${path}/{alias}/retune`,
    id: "deleteRetune",
    summary: "Have an alias learn no more",
    description: "What was said of its answers stays, and a job that trains goes on.",
    response: DeletedRetune,
    example: { response: { object: "alias.retune", alias: aliasExample.id, deleted: true } },
  }),
];
