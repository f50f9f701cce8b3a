/**
 * Whether feeds and wanted outputs fit a model, before any memory is handed to C: ONNX Runtime reads as many bytes as a
 * shape says. Sizes that a name stands for are not compared with each other; ONNX Runtime does that where it matters.
 */
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { RuntimeError } from "./session.ts";
import type { RunOptions, ValueInfo } from "./session.ts";

/** @throws RuntimeError that names the input and what is wrong with it */
export function checkFeeds(inputs: readonly ValueInfo[], feeds: Record<string, Tensor>): void {
  for (const input of inputs) {
    const feed = feeds[input.name];
    if (feed === undefined) throw new RuntimeError(`input ${input.name} is missing`);
    checkFeed(input, feed);
  }
  const unknown = Object.keys(feeds).find((name) => inputs.every((input) => input.name !== name));
  if (unknown !== undefined) {
    throw new RuntimeError(`the model has no input ${unknown}, only ${namesOf(inputs)}`);
  }
}

function checkFeed(input: ValueInfo, feed: Tensor): void {
  checkValue(input, feed, "input");
  const { name } = input;
  const whole = feed.shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!whole || feed.data.length !== elementCount(feed.shape)) {
    throw new RuntimeError(
      `input ${name} holds ${feed.data.length} elements, which do not fill its shape [${feed.shape}]`,
    );
  }
}

/** @throws RuntimeError that names it. Sizes that a name stands for are ONNX Runtime's to compare. */
export function checkValue(
  { name, dtype, shape }: ValueInfo,
  value: { readonly dtype: DType; readonly shape: Shape },
  kind: "input" | "output",
): void {
  if (value.dtype !== dtype) {
    throw new RuntimeError(`${kind} ${name} is ${dtype}, not ${value.dtype}`);
  }
  const fits =
    value.shape.length === shape.length &&
    shape.every((size, axis) => typeof size === "string" || size === value.shape[axis]);
  if (!fits) throw new RuntimeError(`${kind} ${name} has shape [${shape}], not [${value.shape}]`);
}

/**
 * The names of the outputs wanted, each once.
 * @throws RuntimeError for one that the model has not
 */
export function wantedOutputs(outputs: readonly ValueInfo[], options: RunOptions): string[] {
  const known = outputs.map((output) => output.name);
  const wanted = [...new Set(options.outputs ?? known)];
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new RuntimeError(`the model has no output ${unknown}, only ${namesOf(outputs)}`);
  }
  if (wanted.length === 0) throw new RuntimeError("no output is wanted");
  return wanted;
}

export function namesOf(values: readonly ValueInfo[]): string {
  return values.map((value) => value.name).join(", ");
}
