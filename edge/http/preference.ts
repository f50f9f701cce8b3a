/**
 * How long a caller wants to be held, from its `Prefer` header (RFC 7240): `respond-async`, `wait=N`, or neither.
 * A preference that is not understood is ignored, as the RFC asks.
 */
export type Preference = {
  /** The caller comes back for its job: it is kept from the start and a hang-up does not cancel it. */
  respondAsync: boolean;
  /** Seconds the caller is held before it is answered 202; null: it said nothing. */
  waitSeconds: number | null;
};

/** @param header the value of `Prefer`; several headers arrive joined by commas */
export function parsePreference(header: string | undefined): Preference {
  const preference: Preference = { respondAsync: false, waitSeconds: null };
  for (const part of (header ?? "").split(",")) {
    const token = part.split(";", 1)[0]?.trim().toLowerCase() ?? "";
    const seconds = /^wait\s*=\s*"?(\d{1,6})"?$/.exec(token)?.[1];
    if (token === "respond-async") preference.respondAsync = true;
    // RFC 7240: of a preference given twice, the first counts.
    if (seconds !== undefined) preference.waitSeconds ??= Number(seconds);
  }
  return preference;
}

/** @returns the value of `Preference-Applied`, or null where no preference was understood */
export function preferenceApplied(preference: Preference): string | null {
  const applied: string[] = [];
  if (preference.respondAsync) applied.push("respond-async");
  if (preference.waitSeconds !== null) applied.push(`wait=${preference.waitSeconds}`);
  return applied.length === 0 ? null : applied.join(", ");
}
