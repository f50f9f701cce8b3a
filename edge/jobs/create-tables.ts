/**
 * The tables of a shard: jobs that somebody can come back for, and the computations that they wait for. JSON columns
 * are written and read by job-rows.ts alone. Tables of older versions are taken over, with the jobs that are open in
 * them.
 */
import { JobResult, resultDocument } from "#contract/result-document.ts";

const tables = `
  CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, computation_id TEXT NOT NULL, tenant TEXT NOT NULL, request_key TEXT,
    task TEXT NOT NULL, model TEXT NOT NULL, rendering TEXT NOT NULL, warnings TEXT NOT NULL, webhook TEXT,
    status TEXT NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER,
    result TEXT, result_reference TEXT, error TEXT, told TEXT
  );
  CREATE INDEX IF NOT EXISTS jobs_by_computation ON jobs (computation_id);
  CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (finished_at);
  CREATE TABLE IF NOT EXISTS computations (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, request_key TEXT, message TEXT, sent INTEGER NOT NULL,
    named INTEGER NOT NULL, resent INTEGER NOT NULL, quiet_since INTEGER NOT NULL, given_up INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0, sequence INTEGER NOT NULL DEFAULT 0
  );
`;

/** In the first version, tickets had the message of their computation until it was sent. */
const takeOverFirstVersion = `
  CREATE TABLE works (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, request_key TEXT, message TEXT, sent INTEGER NOT NULL,
    named INTEGER NOT NULL, resent INTEGER NOT NULL, quiet_since INTEGER NOT NULL, given_up INTEGER NOT NULL
  );
  INSERT OR IGNORE INTO works
    SELECT work_id, tenant, request_key, message, message IS NULL, status = 'processing', 0, unixepoch() * 1000, 0
    FROM tickets WHERE finished_at IS NULL;
  ALTER TABLE tickets DROP COLUMN message;
  DROP INDEX IF EXISTS tickets_by_age;
`;

/** In the second, jobs were called tickets, computations works; how far a computation had come stood in its tickets. */
const takeOverSecondVersion = `
  ALTER TABLE works RENAME TO computations;
  ALTER TABLE computations ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE computations ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
  UPDATE computations SET
    started = EXISTS (SELECT 1 FROM tickets WHERE work_id = computations.id AND status = 'processing'),
    sequence = (SELECT coalesce(max(sequence), 0) FROM tickets WHERE work_id = computations.id);
  DROP INDEX IF EXISTS tickets_by_work;
  DROP INDEX IF EXISTS tickets_by_end;
  ALTER TABLE tickets RENAME TO jobs;
  ALTER TABLE jobs RENAME COLUMN work_id TO computation_id;
  ALTER TABLE jobs DROP COLUMN sequence;
`;

export function createTables(sql: SqlStorage): void {
  if (hasTable(sql, "tickets")) {
    if (!hasTable(sql, "works")) sql.exec(takeOverFirstVersion);
    sql.exec(takeOverSecondVersion);
    takeOverResults(sql);
  }
  sql.exec(tables);
  const columns = sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('jobs')");
  if (!columns.toArray().some(({ name }) => name === "told")) {
    sql.exec("ALTER TABLE jobs ADD COLUMN told TEXT");
  }
}

/** In both, a result was one JSON value. */
function takeOverResults(sql: SqlStorage): void {
  const rows = sql.exec<{ id: string; result: string }>(
    "SELECT id, result FROM jobs WHERE result IS NOT NULL",
  );
  for (const { id, result } of rows.toArray()) {
    const document = resultDocument(JobResult.parse(JSON.parse(result)));
    sql.exec("UPDATE jobs SET result = ? WHERE id = ?", document, id);
  }
}

function hasTable(sql: SqlStorage, name: string): boolean {
  const found = sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name);
  return found.toArray().length > 0;
}
