/** The re-tunes of one key in SQLite, by alias: what was asked for, and how it stands. */
import type { Retune, RetuneState } from "./retune.ts";

export class RetuneRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      `CREATE TABLE IF NOT EXISTS retunes (
         alias TEXT PRIMARY KEY, settings TEXT NOT NULL, state TEXT NOT NULL
       ) STRICT`,
    );
  }

  list(): Retune[] {
    return this.#sql
      .exec<{ settings: string; state: string }>("SELECT settings, state FROM retunes")
      .toArray()
      .map(({ settings, state }) => ({ settings: JSON.parse(settings), state: JSON.parse(state) }));
  }

  find(alias: string): Retune | null {
    return this.list().find(({ settings }) => settings.alias === alias) ?? null;
  }

  /** Of one that is known the state stays. */
  ask({ settings, state }: Retune): void {
    this.#sql.exec(
      `INSERT INTO retunes (alias, settings, state) VALUES (?1, ?2, ?3)
       ON CONFLICT (alias) DO UPDATE SET settings = ?2`,
      settings.alias,
      JSON.stringify(settings),
      JSON.stringify(state),
    );
  }

  /** One that was removed meanwhile stays so. */
  keepState(alias: string, state: RetuneState): void {
    this.#sql.exec("UPDATE retunes SET state = ? WHERE alias = ?", JSON.stringify(state), alias);
  }

  /** @returns whether there was one */
  remove(alias: string): boolean {
    return this.#sql.exec("DELETE FROM retunes WHERE alias = ?", alias).rowsWritten > 0;
  }
}
