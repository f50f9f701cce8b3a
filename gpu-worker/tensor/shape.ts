/**
 * Shapes of known sizes: lists of lengths, outermost first, row-major. A scalar's shape is empty.
 * Shapes with names for sizes not yet known live in onnx/symbolic-shape.ts.
 */
export type Shape = readonly number[];

export function elementCount(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/** Elements to step over to go one further along each axis. */
export function strides(shape: Shape): number[] {
  const steps: number[] = [];
  let step = 1;
  for (const length of shape.toReversed()) {
    steps.unshift(step);
    step *= length;
  }
  return steps;
}

/** The shape of `a + b` under multidirectional broadcasting. Throws if the two do not fit. */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new RangeError(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
    }
    return left === 1 ? right : left;
  });
}
