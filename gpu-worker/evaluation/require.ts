/** What figures are made of is checked by name: a NaN in a report would be a lie that looks like a number. */

/** Throws a RangeError. */
export function requireSameLength(a: { length: number }, b: { length: number }): void {
  if (a.length !== b.length)
    throw new RangeError(`${a.length} rows are expected answers and ${b.length} are predictions`);
}

/** Throws a RangeError that names the first value that is NaN or infinite. */
export function requireFinite(values: ArrayLike<number>, name: string): void {
  for (let at = 0; at < values.length; at += 1) {
    if (!Number.isFinite(values[at]))
      throw new RangeError(`${name}[${at}] is ${values[at]}: not a finite number`);
  }
}
