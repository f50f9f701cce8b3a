/** A tensor over a piece of a provider's memory, which belongs to the allocation. */
import { bytesPerElement } from "../../tensor/dtype.ts";
import type { DType } from "../../tensor/dtype.ts";
import { elementCount, sameShape } from "../../tensor/shape.ts";
import type { Shape } from "../../tensor/shape.ts";
import { tensorFromBytes } from "../../tensor/tensor.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { AllocatedValue, ResidentValue } from "../bound-session.ts";
import { RuntimeError } from "../session.ts";
import type { Allocation } from "./allocation.ts";
import type { Pointer } from "./native-function.ts";

export class NativeValue implements AllocatedValue {
  readonly allocation: Allocation;
  readonly address: Pointer;
  readonly dtype: DType;
  readonly shape: Shape;

  constructor(allocation: Allocation, dtype: DType, shape: Shape, address = allocation.address) {
    this.allocation = allocation;
    this.dtype = dtype;
    this.shape = [...shape];
    this.address = address;
  }

  get byteLength(): number {
    return byteLength(this.dtype, this.shape);
  }

  view(offset: number, shape: Shape): ResidentValue {
    const elements = elementCount(this.shape);
    const length = countOf(shape);
    const inside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= elements;
    if (!inside) {
      throw new RuntimeError(
        `[${shape}] from element ${offset} on is not inside a value of ${elements} elements`,
      );
    }
    const address = this.address + BigInt(offset * bytesPerElement(this.dtype));
    return new NativeValue(this.allocation, this.dtype, shape, address);
  }

  async write({ dtype, shape, data }: Tensor): Promise<void> {
    const fits =
      dtype === this.dtype && sameShape(shape, this.shape) && data.byteLength === this.byteLength;
    if (!fits) {
      throw new RuntimeError(
        `the value is ${this.dtype} [${this.shape}], not ${dtype} [${shape}] of ${data.length} elements`,
      );
    }
    // Arrays of a few bytes lie inside V8's heap, and move, until somebody has asked for their buffer.
    if (data.buffer.byteLength > 0) await this.#copy(this.address, data);
  }

  async read(): Promise<Tensor> {
    const bytes = new Uint8Array(new ArrayBuffer(this.byteLength));
    await this.#copy(bytes, this.address);
    return tensorFromBytes(this.dtype, this.shape, bytes);
  }

  async readInto(data: ArrayBufferView): Promise<void> {
    if (data.byteLength !== this.byteLength) {
      throw new RuntimeError(`the value has ${this.byteLength} bytes, not ${data.byteLength}`);
    }
    // Arrays of a few bytes lie inside V8's heap, and move, until somebody has asked for their buffer.
    if (data.buffer.byteLength > 0) await this.#copy(data, this.address);
  }

  async copyFrom(source: ResidentValue): Promise<void> {
    if (
      !(source instanceof NativeValue) ||
      source.allocation.provider !== this.allocation.provider
    ) {
      throw new RuntimeError("a value is copied from another of its own provider alone");
    }
    const { dtype, shape } = source;
    if (dtype !== this.dtype || !sameShape(shape, this.shape)) {
      throw new RuntimeError(`the value is ${this.dtype} [${this.shape}], not ${dtype} [${shape}]`);
    }
    await source.allocation.using(() => this.#copy(this.address, source.address));
  }

  async discard(): Promise<void> {
    const { allocation, address, byteLength: bytes } = this;
    await allocation.using(() => allocation.memory.discard(address, bytes));
  }

  async #copy(to: Pointer | ArrayBufferView, from: Pointer | ArrayBufferView): Promise<void> {
    const { allocation, byteLength: bytes } = this;
    await allocation.using(() => allocation.memory.copy(to, from, bytes));
  }

  /** Of the allocation as a whole, also where this is a part of it. */
  release(): Promise<void> {
    return this.allocation.release();
  }
}

/** @throws RuntimeError for what is no shape */
function countOf(shape: Shape): number {
  const count = elementCount(shape);
  const whole = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!whole || !Number.isSafeInteger(count)) throw new RuntimeError(`[${shape}] is no shape`);
  return count;
}

/** @throws RuntimeError for what is no shape */
export function byteLength(dtype: DType, shape: Shape): number {
  return countOf(shape) * bytesPerElement(dtype);
}
