/** For work of minutes: the caller comes back for it, whether it asked to or not. */
import type { EdgeContext } from "../context.ts";
import { parsePreference } from "../http/preference.ts";

export function askForJob(c: EdgeContext): void {
  const given = c.req.header("prefer");
  if (parsePreference(given).respondAsync) return;
  const headers = new Headers(c.req.raw.headers);
  headers.append("prefer", "respond-async");
  c.req.raw = new Request(c.req.raw, { headers });
}
