/** Numbers of JSON as decimal digits: what a number is as it is written, which binary fractions are not. */

export type Decimal = {
  readonly digits: bigint;
  /** The number is `digits` over ten to the power of this. */
  readonly scale: number;
};

/** As it is written, without an exponent. */
export function plainDigits(value: number): string {
  const [mantissa = "0", exponent = "0"] = String(Math.abs(value)).split("e");
  const [whole = "0", fraction = ""] = mantissa.split(".");
  const shift = Number(exponent);
  if (shift === 0) return mantissa;
  if (shift > 0) return whole + fraction.padEnd(shift, "0");
  return `0.${"0".repeat(-shift - 1)}${whole}${fraction}`;
}

export function decimalOf(value: number): Decimal {
  const [whole = "0", fraction = ""] = plainDigits(value).split(".");
  const digits = BigInt(whole + fraction);
  return { digits: value < 0 ? -digits : digits, scale: fraction.length };
}

export function isMultiple(value: number, step: Decimal): boolean {
  const { digits, scale } = decimalOf(value);
  const common = Math.max(scale, step.scale);
  return atScale({ digits, scale }, common) % atScale(step, common) === 0n;
}

export function commonMultiple(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  const [one, other] = [atScale(a, scale), atScale(b, scale)];
  let [x, y] = [one, other];
  while (y > 0n) [x, y] = [y, x % y];
  return shortest({ digits: (one / x) * other, scale });
}

export function atScale({ digits, scale }: Decimal, to: number): bigint {
  return digits * 10n ** BigInt(to - scale);
}

function shortest({ digits, scale }: Decimal): Decimal {
  let [rest, places] = [digits, scale];
  while (places > 0 && rest % 10n === 0n) [rest, places] = [rest / 10n, places - 1];
  return { digits: rest, scale: places };
}
