/**
 * IEEE half precision and bfloat16 to and from float32, as bits. Narrowing rounds to nearest, ties to even;
 * NaN stays NaN, values past the range become infinite, subnormals are kept.
 */
const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** float32 value of one half-precision bit pattern. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Made at first use. */
let halfTable: Float32Array | null = null;

/** The values of all 65 536 bit patterns: a look-up is several times faster than the arithmetic. */
export function halfValues(): Float32Array {
  halfTable ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfToNumber(bits));
  return halfTable;
}

export function float16ToFloat32(halves: Uint16Array): Float32Array {
  const table = halfValues();
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i] ?? 0] ?? 0;
  return out;
}

/** `value >> shift`, rounded to nearest, ties to even. */
function shiftRounded(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

function bitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fraction = bits & 0x7fffff;
  if (exponent === 143) return sign | (fraction === 0 ? 0x7c00 : 0x7e00);
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) return sign | shiftRounded((exponent << 23) | fraction, 13);
  if (exponent < -10) return sign;
  return sign | shiftRounded(fraction | 0x800000, 14 - exponent);
}

export function float32ToFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    floatView[0] = values[i] ?? 0;
    out[i] = bitsToHalf(bitsView[0] ?? 0);
  }
  return out;
}

export function bfloat16ToFloat32(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = (values[i] ?? 0) << 16;
  return new Float32Array(bits.buffer);
}

export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    floatView[0] = value;
    const bits = bitsView[0] ?? 0;
    const upper = bits >>> 16;
    const up = (bits & 0xffff) > 0x8000 || ((bits & 0xffff) === 0x8000 && (upper & 1) === 1);
    out[i] = Number.isNaN(value) ? upper | 0x40 : upper + (up ? 1 : 0);
  }
  return out;
}
