/** Calls of tools of one choice, as far as they were told: what of a piece, or of a result, goes beyond that. */
import type { ToolCall, ToolCallPiece } from "#contract/tasks/tool-call.ts";

/** "gap": something before it was not told; "differs": something else was. */
export type BeyondCalls = ToolCallPiece[] | "gap" | "differs";

/** @returns what is new in the pieces, in order */
export function beyondCalls(
  pieces: readonly ToolCallPiece[],
  told: readonly ToolCall[],
): BeyondCalls {
  const grown = [...told];
  const fresh: ToolCallPiece[] = [];
  for (const piece of pieces) {
    const beyond = beyondCall(piece, grown);
    if (beyond === "gap" || beyond === "differs") return beyond;
    if (beyond === null) continue;
    fresh.push(beyond);
    addCall(grown, beyond);
  }
  return fresh;
}

function beyondCall(
  piece: ToolCallPiece,
  told: readonly ToolCall[],
): ToolCallPiece | null | "gap" | "differs" {
  const { index, id, name, argumentsFrom, arguments: given } = piece;
  const known = told[index];
  if (known === undefined) {
    const begins = index === told.length && id !== undefined && name !== undefined;
    return begins && argumentsFrom === 0 ? piece : "gap";
  }
  if (argumentsFrom > known.arguments.length) return "gap";
  if (id !== undefined && (id !== known.id || name !== known.name)) return "differs";
  const same = known.arguments.slice(argumentsFrom, argumentsFrom + given.length);
  if (!given.startsWith(same)) return "differs";
  const rest = given.slice(same.length);
  return rest === "" ? null : { index, argumentsFrom: known.arguments.length, arguments: rest };
}

function addCall(
  calls: ToolCall[],
  { index, id = "", name = "", arguments: given }: ToolCallPiece,
) {
  const known = calls[index] ?? { id, name, arguments: "" };
  calls[index] = { ...known, arguments: known.arguments + given };
}

/** @param pieces as `beyondCalls` gave them */
export function addCalls(
  told: readonly ToolCall[],
  pieces: readonly ToolCallPiece[],
): readonly ToolCall[] {
  if (pieces.length === 0) return told;
  const calls = [...told];
  for (const piece of pieces) addCall(calls, piece);
  return calls;
}

/** @returns what of whole calls was not told; null: something else was */
export function restOfCalls(
  calls: readonly ToolCall[],
  told: readonly ToolCall[],
): ToolCallPiece[] | null {
  const isLonger = told.some(
    (call, index) => call.arguments.length > (calls[index]?.arguments.length ?? -1),
  );
  if (isLonger) return null;
  const whole = calls.map((call, index) => ({ index, ...call, argumentsFrom: 0 }));
  const rest = beyondCalls(whole, told);
  return typeof rest === "string" ? null : rest;
}
