/** A document of schemas: what its references lead to, by pointer, $id and $anchor. */
import { StructureError } from "../expression.ts";
import { pathTo, type Schema, schemaIn } from "./located.ts";
import { isObject } from "./node.ts";

/** Of a document without an $id. */
const unnamed = "schema://document/";
const mapsOfSchemas = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);
/** What is in them is no schema. */
const data = new Set(["enum", "const", "default", "example", "examples"]);

type Place = { readonly schema: Schema; readonly path: string };
type Found = Place & { readonly base: string };

export class Document {
  /** By address. */
  readonly #resources = new Map<string, Place>();
  readonly #anchors = new Map<string, Place>();
  /** The address that references in a schema are relative to. */
  readonly #bases = new Map<object, string>();
  readonly #own: string;

  constructor(root: unknown) {
    const open: Found[] = isObject(root) ? [{ schema: root, path: "#", base: unnamed }] : [];
    for (const found of open) open.push(...this.#take(found));
    this.#own = (isObject(root) && this.#bases.get(root)) || unnamed;
    if (!isObject(root)) this.#resources.set(unnamed, { schema: schemaIn(root, "#"), path: "#" });
  }

  /** @param referring the schema that refers @throws StructureError where it leads to no schema of the document */
  resolve(reference: unknown, referring: Schema, at: string): Place {
    if (typeof reference !== "string") throw new StructureError("$ref is no text", at);
    const hash = reference.indexOf("#");
    const [address, fragment] =
      hash === -1 ? [reference, ""] : [reference.slice(0, hash), reference.slice(hash + 1)];
    const base = (isObject(referring) ? this.#bases.get(referring) : undefined) ?? this.#own;
    const whole = address === "" ? base : addressOf(address, base);
    const resource = whole === null ? undefined : this.#resources.get(whole);
    const found =
      resource === undefined || fragment === ""
        ? resource
        : fragment.startsWith("/")
          ? pointedAt(resource, fragment, at)
          : this.#anchors.get(`${whole}#${fragment}`);
    if (found !== undefined) return found;
    const words = "leads to no schema of this document: put what it refers to under $defs";
    throw new StructureError(`$ref ${reference.slice(0, 100)} ${words}`, at);
  }

  /** @returns the schemas in it */
  #take({ schema, path, base: outer }: Found): Found[] {
    if (!isObject(schema) || this.#bases.has(schema)) return [];
    const id = schema["$id"];
    const named = typeof id === "string" ? addressOf(id, outer) : null;
    const base = named ?? outer;
    this.#bases.set(schema, base);
    if (path === "#" || named !== null) this.#resources.set(base, { schema, path });
    for (const keyword of ["$anchor", "$dynamicAnchor"]) {
      if (typeof schema[keyword] === "string")
        this.#anchors.set(`${base}#${schema[keyword]}`, { schema, path });
    }
    return Object.entries(schema).flatMap(([keyword, value]) => {
      if (data.has(keyword)) return [];
      const at = pathTo(path, keyword);
      const found = (of: unknown, key: string | number): Found[] =>
        isObject(of) ? [{ schema: of, path: pathTo(at, key), base }] : [];
      if (Array.isArray(value)) return value.flatMap(found);
      if (!isObject(value)) return [];
      if (!mapsOfSchemas.has(keyword)) return [{ schema: value, path: at, base }];
      return Object.entries(value).flatMap(([name, of]) => found(of, name));
    });
  }
}

/** Without what comes after #. Null: it is none. */
function addressOf(reference: string, base: string): string | null {
  try {
    const url = new URL(reference, base);
    if (reference.startsWith("#")) return null;
    url.hash = "";
    return url.href;
  } catch {
    return null;
  }
}

function pointedAt(from: Place, pointer: string, at: string): Place {
  const keys = pointer.slice(1).split("/").map(decoded);
  let value: unknown = from.schema;
  for (const key of keys) {
    const inside: unknown = Array.isArray(value)
      ? value[Number(key)]
      : isObject(value) && Object.hasOwn(value, key)
        ? value[key]
        : undefined;
    if (inside === undefined) {
      throw new StructureError(`$ref #${pointer.slice(0, 100)} leads nowhere in this document`, at);
    }
    value = inside;
  }
  const path = pathTo(from.path, ...keys);
  return { schema: schemaIn(value, path), path };
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
