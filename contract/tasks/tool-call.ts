/** A call of a tool that a model asked for. */
import * as z from "zod";

export const ToolCall = z.object({
  id: z.string().max(64).describe("Of the call: an answer names it."),
  name: z.string().max(64).describe("Of the tool, which the request declared."),
  arguments: z.string().describe("JSON text that the tool's schema validates."),
});
export type ToolCall = z.infer<typeof ToolCall>;

/** What a call has grown by. */
export const ToolCallPiece = z.object({
  /** Of the call among those of its choice. */
  index: z.int().nonnegative(),
  /** With the first piece of the call: both, or neither. */
  id: z.string().max(64).optional(),
  name: z.string().max(64).optional(),
  /** UTF-16 units of its arguments before this piece. */
  argumentsFrom: z.int().nonnegative(),
  arguments: z.string(),
});
export type ToolCallPiece = z.infer<typeof ToolCallPiece>;
