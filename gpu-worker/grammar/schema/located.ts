/** Schemas with their places, and references to others of the same document. */
import { StructureError } from "../expression.ts";
import { isObject } from "./node.ts";

export type Schema = boolean | Record<string, unknown>;

export type Located = {
  readonly schema: Schema;
  /** As a JSON pointer after #. */
  readonly path: string;
  /** Only its own keywords count: those that refer to other schemas were taken already. */
  readonly bare: boolean;
  /** It is this keyword of the schema at that place alone. */
  readonly part?: string;
};

export function schemaIn(value: unknown, path: string): Schema {
  if (typeof value === "boolean" || isObject(value)) return value;
  throw new StructureError("it is no schema: a schema is an object, true or false", path);
}

export function pathTo(path: string, ...keys: readonly (string | number)[]): string {
  const parts = keys.map((key) => String(key).replaceAll("~", "~0").replaceAll("/", "~1"));
  return [path, ...parts].join("/");
}

/** @throws StructureError where it leads to no schema of the same document */
export function resolveReference(root: unknown, reference: unknown, at: string): Located {
  if (typeof reference !== "string") throw new StructureError("$ref is no text", at);
  const own =
    isObject(root) && typeof root["$id"] === "string" ? root["$id"].replace(/#$/, "") : null;
  const local = own !== null && reference.startsWith(own) ? reference.slice(own.length) : reference;
  if (local === "" || local === "#") return { schema: schemaIn(root, "#"), path: "#", bare: false };
  if (local.startsWith("#/")) return pointedAt(root, local, at);
  const anchored = local.startsWith("#") ? findAnchor(root, local.slice(1), "#") : null;
  if (anchored !== null) return anchored;
  const words = "leads to no schema of this document: put what it refers to under $defs";
  throw new StructureError(`$ref ${reference.slice(0, 100)} ${words}`, at);
}

function pointedAt(root: unknown, pointer: string, at: string): Located {
  const keys = pointer.slice(2).split("/").map(decoded);
  let value = root;
  for (const key of keys) {
    const inside: unknown = Array.isArray(value)
      ? value[Number(key)]
      : isObject(value) && Object.hasOwn(value, key)
        ? value[key]
        : undefined;
    if (inside === undefined) {
      throw new StructureError(`$ref ${pointer.slice(0, 100)} leads nowhere in this document`, at);
    }
    value = inside;
  }
  const path = pathTo("#", ...keys);
  return { schema: schemaIn(value, path), path, bare: false };
}

function decoded(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // As it stands: not every % begins a code.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Among definitions, which is where anchors are for. */
function findAnchor(value: unknown, anchor: string, path: string): Located | null {
  if (!isObject(value)) return null;
  if (value["$anchor"] === anchor) return { schema: value, path, bare: false };
  for (const keyword of ["$defs", "definitions"]) {
    const all = value[keyword];
    if (!isObject(all)) continue;
    for (const [name, schema] of Object.entries(all)) {
      const found = findAnchor(schema, anchor, pathTo(path, keyword, name));
      if (found !== null) return found;
    }
  }
  return null;
}
