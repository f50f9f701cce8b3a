/** @returns of a body those fields that stand in a schema's shape */
export function fieldsOf(body: object, shape: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => Object.hasOwn(shape, name)));
}
