/** Where a reader of server-sent events goes on. */
import { CodedError } from "#contract/errors.ts";

/** @param header `Last-Event-ID` @returns the number of the last event that the reader has; 0: it has none */
export function lastEventId(header: string | undefined): number {
  const text = header ?? "";
  if (text === "") return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new CodedError("invalid_value", "Last-Event-ID is the number of an event of this job.", {
    param: "last-event-id",
  });
}
