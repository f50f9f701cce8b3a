/**
 * Shapes of a graph: lengths that are numbers, or names of sizes known only at run time ("batch", "sequence"),
 * or products of both ("12*batch"), written in one canonical order so that equal sizes compare equal as text.
 * `unknownDim` fits everything: the size of a result that depends on data.
 */
export type Dim = number | string;
export type SymbolicShape = readonly Dim[];

export const unknownDim = "?";

type Product = { coefficient: number; names: string[] };

function productOf(dims: SymbolicShape): Product {
  const factors = dims.flatMap((dim) => String(dim).split("*"));
  const names = factors.filter((factor) => Number.isNaN(Number(factor)));
  const numbers = factors.map(Number).filter((factor) => !Number.isNaN(factor));
  return { coefficient: numbers.reduce((a, b) => a * b, 1), names: names.toSorted() };
}

function toDim({ coefficient, names }: Product): Dim {
  if (coefficient === 0) return 0;
  if (names.includes(unknownDim)) return unknownDim;
  if (names.length === 0) return coefficient;
  return [...(coefficient === 1 ? [] : [String(coefficient)]), ...names].join("*");
}

/** The number of elements of `dims`. */
export function multiplyDims(dims: SymbolicShape): Dim {
  return toDim(productOf(dims));
}

/** `total / part`, or null where it is no whole product. */
export function divideDims(total: SymbolicShape, part: SymbolicShape): Dim | null {
  const dividend = productOf(total);
  const divisor = productOf(part);
  if (dividend.names.includes(unknownDim) || divisor.names.includes(unknownDim)) return unknownDim;
  const names = [...dividend.names];
  for (const name of divisor.names) {
    const at = names.indexOf(name);
    if (at < 0) return null;
    names.splice(at, 1);
  }
  const coefficient = dividend.coefficient / divisor.coefficient;
  return Number.isInteger(coefficient) ? toDim({ coefficient, names }) : null;
}

/** `a + b`: the length of two parts joined. */
export function addDims(a: Dim, b: Dim): Dim {
  if (a === unknownDim || b === unknownDim) return unknownDim;
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (a === 0) return b;
  // A product within a sum is spelt with another sign: a sum is one factor, not to be taken apart.
  return b === 0 ? a : `(${a}+${b})`.replaceAll("*", "·");
}

export function fits(a: Dim, b: Dim): boolean {
  return a === b || a === unknownDim || b === unknownDim;
}

/** Length of an axis where `a` meets `b` under broadcasting, or null if the two do not fit. */
function broadcastDims(a: Dim, b: Dim): Dim | null {
  if (a === 1) return b;
  if (b === 1 || a === b) return a;
  if (a === unknownDim) return b;
  return b === unknownDim ? a : null;
}

/** The shape of `a + b` under multidirectional broadcasting, or null if the two do not fit. */
export function broadcastSymbolic(a: SymbolicShape, b: SymbolicShape): Dim[] | null {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const dim = broadcastDims(a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1);
    if (dim === null) return null;
    out.push(dim);
  }
  return out;
}

export function shapeText(shape: SymbolicShape): string {
  return `[${shape.join(", ")}]`;
}
