/**
 * A rotation that spreads what is large in a few features over all of them, so that rounding to 8 bits with one scale
 * for all loses little (Ashkboos et al., QuaRot, https://arxiv.org/abs/2404.00456). Random signs, and then for each
 * prime factor of the size a Hartley transform (https://en.wikipedia.org/wiki/Discrete_Hartley_transform), which is
 * orthogonal, of numbers of like magnitude, and for 2 the Hadamard transform.
 */

/** Of those that were tried, SmolLM2 strays least with it. */
const seed = 8;

/** −1 or 1, in no order: the highest bits of a linear congruential generator (Numerical Recipes). */
function randomSigns(count: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state < 0 ? -1 : 1;
  });
}

/** A transform of a prime takes time with its square. */
const primeMax = 64;

export function canRotateSize(size: number): boolean {
  return primeFactors(size).every((factor) => factor <= primeMax);
}

function primeFactors(size: number): number[] {
  for (let factor = 2; factor * factor <= size; factor++) {
    if (size % factor === 0) return [factor, ...primeFactors(size / factor)];
  }
  return size === 1 ? [] : [size];
}

/** cas(2π·row·column/size)/√size, row-major [size, size]. */
function hartleyMatrix(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => {
    const angle = (2 * Math.PI * ((Math.floor(at / size) * (at % size)) % size)) / size;
    return (Math.cos(angle) + Math.sin(angle)) / Math.sqrt(size);
  });
}

/** Of every `factor` values that lie `stride` apart, in place. */
type Stage = { readonly factor: number; readonly stride: number; readonly hartley: Float64Array };

function transformGroups(values: Float64Array, { factor, stride, hartley }: Stage): void {
  const group = new Float64Array(factor);
  const groups = values.length / factor;
  for (let index = 0; index < groups; index++) {
    const offset = index % stride;
    const first = (index - offset) * factor + offset;
    for (let at = 0; at < factor; at++) group[at] = values[first + at * stride] ?? 0;
    for (let to = 0; to < factor; to++) {
      let sum = 0;
      // Not in a function of its own: that takes twice as long.
      for (let at = 0; at < factor; at++)
        sum += (group[at] ?? 0) * (hartley[to * factor + at] ?? 0);
      values[first + to * stride] = sum;
    }
  }
}

/** The same where the factor is 3, in a third of the time. */
function transformTriples(values: Float64Array, { stride, hartley }: Stage): void {
  const [all = 0, , , , near = 0, far = 0] = hartley;
  for (let from = 0; from < values.length; from += 3 * stride) {
    for (let at = from; at < from + stride; at++) {
      const first = values[at] ?? 0;
      const second = values[at + stride] ?? 0;
      const third = values[at + 2 * stride] ?? 0;
      values[at] = (first + second + third) * all;
      values[at + stride] = first * all + second * near + third * far;
      values[at + 2 * stride] = first * all + second * far + third * near;
    }
  }
}

/** The same where the factor is 2. */
function transformPairs(values: Float64Array, stride: number): void {
  for (let from = 0; from < values.length; from += 2 * stride) {
    for (let at = from; at < from + stride; at++) {
      const one = values[at] ?? 0;
      const other = values[at + stride] ?? 0;
      values[at] = (one + other) * Math.SQRT1_2;
      values[at + stride] = (one - other) * Math.SQRT1_2;
    }
  }
}

/** Two such stages, with a stride and with twice that, in one pass. */
function transformQuads(values: Float64Array, stride: number): void {
  for (let from = 0; from < values.length; from += 4 * stride) {
    for (let at = from; at < from + stride; at++) {
      const first = values[at] ?? 0;
      const second = values[at + stride] ?? 0;
      const third = values[at + 2 * stride] ?? 0;
      const fourth = values[at + 3 * stride] ?? 0;
      // Not as pairs: that takes several times as long.
      const sum = first + second;
      const rest = first - second;
      const otherSum = third + fourth;
      const otherRest = third - fourth;
      values[at] = (sum + otherSum) / 2;
      values[at + stride] = (rest + otherRest) / 2;
      values[at + 2 * stride] = (sum - otherSum) / 2;
      values[at + 3 * stride] = (rest - otherRest) / 2;
    }
  }
}

export class Rotation {
  readonly #signs: Float64Array;
  /** How many of the factors are 2: the first. */
  readonly #twos: number;
  /** Of the other factors. */
  readonly #stages: readonly Stage[];

  /** @param size features that are rotated together */
  constructor(size: number) {
    this.#signs = randomSigns(size);
    const factors = primeFactors(size);
    this.#twos = factors.filter((factor) => factor === 2).length;
    let stride = 2 ** this.#twos;
    this.#stages = factors.slice(this.#twos).map((factor) => {
      const stage = { factor, stride, hartley: hartleyMatrix(factor) };
      stride *= factor;
      return stage;
    });
  }

  /**
   * Row-major `matrix` [rows, n · size], each `size` neighbours of a row rotated: M·R.
   * @param to takes the result; `matrix` itself may
   */
  rows(matrix: Float32Array, to: Float32Array = new Float32Array(matrix.length)): Float32Array {
    const size = this.#signs.length;
    const values = new Float64Array(size);
    for (let from = 0; from < matrix.length; from += size) {
      for (let at = 0; at < size; at++)
        values[at] = (matrix[from + at] ?? 0) * (this.#signs[at] ?? 0);
      let two = 0;
      for (; two + 2 <= this.#twos; two += 2) transformQuads(values, 2 ** two);
      if (two < this.#twos) transformPairs(values, 2 ** two);
      for (const stage of this.#stages) {
        if (stage.factor === 3) transformTriples(values, stage);
        else transformGroups(values, stage);
      }
      to.set(values, from);
    }
    return to;
  }

  /** R, row-major [size, size]. */
  matrix(): Float32Array {
    const size = this.#signs.length;
    const identity = new Float32Array(size * size);
    for (let at = 0; at < size; at++) identity[at * (size + 1)] = 1;
    return this.rows(identity, identity);
  }
}
