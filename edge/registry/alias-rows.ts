/** The aliases of one tenant in SQLite, each as a document. */
import { aliasLimits, type ModelAlias } from "./model-alias.ts";

export class AliasRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS aliases (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT",
    );
  }

  /** By name. */
  list(): ModelAlias[] {
    return this.#sql
      .exec<{ document: string }>("SELECT document FROM aliases ORDER BY name")
      .toArray()
      .map(({ document }) => JSON.parse(document));
  }

  find(name: string): ModelAlias | null {
    return this.list().find((alias) => alias.name === name) ?? null;
  }

  /** @returns whether there was room for it */
  keep(alias: ModelAlias): boolean {
    const known = this.list();
    const isNew = known.every(({ name }) => name !== alias.name);
    if (isNew && known.length >= aliasLimits.aliasesMax) return false;
    const text = JSON.stringify(alias);
    this.#sql.exec("INSERT OR REPLACE INTO aliases VALUES (?, ?)", alias.name, text);
    return true;
  }

  /** @returns whether there was such an alias */
  remove(name: string): boolean {
    return this.#sql.exec("DELETE FROM aliases WHERE name = ?", name).rowsWritten > 0;
  }
}
