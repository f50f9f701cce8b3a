/**
 * The Durable Object that keeps what one tenant has tuned: the models, the digests that their results carry, aliases,
 * and what is still to be deleted of models that are gone. A model's bytes lie in the bucket, and pass it by.
 */
import { DurableObject } from "cloudflare:workers";
import { TunedModel, type TunedModelName } from "#contract/training/tuned-model.ts";
import { type Env, settingsOf } from "../environment.ts";
import { deleteObject } from "../storage/object-writer.ts";
import { AliasRows } from "./alias-rows.ts";
import { type AskedAlias, type ModelAlias, pointed, pointsTo, rolledBack } from "./model-alias.ts";

/** Models of one tenant. */
export const tunedModelsMax = 20;
/** Of one model: a mixed fleet computes it in a few forms. */
const digestsMax = 8;
/** Objects that could not be deleted are tried again after this long. */
const againMs = 60_000;

declare module "../environment.ts" {
  interface Env {
    readonly TUNED_MODELS: DurableObjectNamespace<TunedModels>;
  }
}

/** With the digests that its results may carry, as workers reported them. */
export type KeptTunedModel = TunedModel & { digests: string[] };

export type AliasMove = {
  name: string;
  from: TunedModelName;
  to: TunedModelName;
  /** Null: all requests. */
  share: number | null;
};

/** Why an alias cannot be as it was asked for. */
export type AliasRefusal = "model" | "rollout.model" | "tasks" | "aliases";

/** The tenant has as many models as it may. */
export class TooManyTunedModels extends Error {
  override readonly name = "TooManyTunedModels";

  constructor() {
    super(
      `A key may keep ${tunedModelsMax} tuned models, and there are as many. ` +
        "Delete one that is not needed: DELETE /v1/models/{id}.",
    );
  }
}

export class TunedModels extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #aliases: AliasRows;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS models (
        name TEXT PRIMARY KEY, model TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE TABLE IF NOT EXISTS digests (
        name TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (name, digest)
      ) STRICT;
    `);
    this.#aliases = new AliasRows(this.#sql);
  }

  /**
   * Keeps a model. One of that name that is here, or being deleted, stays as it is.
   * @throws TooManyTunedModels
   */
  put(model: TunedModel): void {
    if (this.#isHere(model.name)) return;
    if (this.#count() >= tunedModelsMax) throw new TooManyTunedModels();
    const text = JSON.stringify(TunedModel.parse(model));
    this.#sql.exec("INSERT INTO models (name, model) VALUES (?, ?)", model.name, text);
  }

  /** In the order they came. */
  list(): KeptTunedModel[] {
    return this.#sql
      .exec<{ model: string }>("SELECT model FROM models WHERE deleted = 0 ORDER BY rowid")
      .toArray()
      .map(({ model }) => this.#read(model));
  }

  find(name: string): KeptTunedModel | null {
    const rows = this.#sql.exec<{ model: string }>(
      "SELECT model FROM models WHERE name = ? AND deleted = 0",
      name,
    );
    const [row] = rows.toArray();
    return row === undefined ? null : this.#read(row.model);
  }

  /** Results of the model carry this digest. @returns whether there is such a model */
  carry(name: string, digest: string): boolean {
    if (this.find(name) === null) return false;
    this.#sql.exec("INSERT OR REPLACE INTO digests VALUES (?, ?)", name, digest);
    this.#sql.exec(
      `DELETE FROM digests WHERE name = ?1 AND rowid NOT IN
         (SELECT rowid FROM digests WHERE name = ?1 ORDER BY rowid DESC LIMIT ?2)`,
      name,
      digestsMax,
    );
    return true;
  }

  aliases(): ModelAlias[] {
    return this.#aliases.list();
  }

  findAlias(name: string): ModelAlias | null {
    return this.#aliases.find(name);
  }

  /** @returns the alias as it is from now on, or what it cannot be */
  pointAlias(asked: AskedAlias): { alias: ModelAlias } | { refusal: AliasRefusal } {
    const model = this.find(asked.model);
    if (model === null) return { refusal: "model" };
    const second = asked.rollout === null ? model : this.find(asked.rollout.model);
    if (second === null) return { refusal: "rollout.model" };
    if (second.tasks.toSorted().join() !== model.tasks.toSorted().join())
      return { refusal: "tasks" };
    const alias = pointed(this.#aliases.find(asked.name), asked, Date.now());
    return this.#aliases.keep(alias) ? { alias } : { refusal: "aliases" };
  }

  /**
   * Points an alias to a model, or has that answer a share of its requests, where it points to `from` still. Again, it
   * changes nothing.
   */
  moveAlias({ name, from, to, share }: AliasMove): "moved" | "elsewhere" | "no model" {
    const before = this.#aliases.find(name);
    if (before !== null && pointsTo(before, to)) return "moved";
    if (before === null || before.model !== from) return "elsewhere";
    const next =
      share === null
        ? { name, model: to, rollout: null }
        : { name, model: from, rollout: { model: to, share } };
    return "alias" in this.pointAlias(next) ? "moved" : "no model";
  }

  /** @returns null: there is no such alias; a null `alias`: nothing is there to go back to */
  rollBackAlias(name: string): { alias: ModelAlias | null } | null {
    const before = this.#aliases.find(name);
    if (before === null) return null;
    const alias = rolledBack(before, (model) => this.find(model) !== null, Date.now());
    if (alias !== null) this.#aliases.keep(alias);
    return { alias };
  }

  /** @returns whether there was such an alias */
  removeAlias(name: string): boolean {
    return this.#aliases.remove(name);
  }

  /** As `remove`, of a model that no alias needs. */
  async removeUnpointed(name: string): Promise<{ removed: boolean } | { alias: string }> {
    const alias = this.#aliases.list().find((each) => pointsTo(each, name));
    return alias === undefined ? { removed: await this.remove(name) } : { alias: alias.name };
  }

  /** Nobody sees it any more; its files are deleted from now on. @returns whether there was such a model */
  async remove(name: string): Promise<boolean> {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE models SET deleted = 1 WHERE name = ? AND deleted = 0",
      name,
    );
    if (rowsWritten === 0) return false;
    this.#sql.exec("DELETE FROM digests WHERE name = ?", name);
    await this.ctx.storage.setAlarm(Date.now());
    return true;
  }

  /** One object after the other; a model with one that could not be deleted is tried again. */
  override async alarm(): Promise<void> {
    const settings = settingsOf(this.env);
    let failed = false;
    for (const { name, files } of this.#deleted()) {
      try {
        for (const { object } of files) await deleteObject(settings, object.key);
        this.#sql.exec("DELETE FROM models WHERE name = ?", name);
      } catch (error) {
        failed = true;
        console.error(JSON.stringify({ event: "tuned.not_deleted", name, reason: String(error) }));
      }
    }
    if (failed) await this.ctx.storage.setAlarm(Date.now() + againMs);
  }

  #isHere(name: string): boolean {
    return this.#sql.exec("SELECT 1 FROM models WHERE name = ?", name).toArray().length > 0;
  }

  #count(): number {
    return this.#sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM models WHERE deleted = 0")
      .one().count;
  }

  #deleted(): TunedModel[] {
    return this.#sql
      .exec<{ model: string }>("SELECT model FROM models WHERE deleted = 1")
      .toArray()
      .map(({ model }) => TunedModel.parse(JSON.parse(model)));
  }

  #read(text: string): KeptTunedModel {
    const model = TunedModel.parse(JSON.parse(text));
    const digests = this.#sql
      .exec<{ digest: string }>(
        "SELECT digest FROM digests WHERE name = ? ORDER BY rowid",
        model.name,
      )
      .toArray()
      .map(({ digest }) => digest);
    return { ...model, digests };
  }
}
