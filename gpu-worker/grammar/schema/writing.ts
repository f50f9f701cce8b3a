/** What arrays and objects are written with. */
import type { Expression } from "../expression.ts";
import type { Node } from "./node.ts";

export type Writing = {
  readonly write: (node: Node) => Expression;
  /** A rule of the value's own, which may call itself. @param key tells it from the value's others */
  readonly rule: (key: string, body: () => Expression) => Expression;
};
