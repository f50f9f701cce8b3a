/**
 * Whether feeds and wanted outputs fit a model, before any memory is handed to C: ONNX Runtime reads as many bytes as a
 * shape says. Sizes that a name stands for are not compared with each other; ONNX Runtime does that where it matters.
 */
import { elementCount } from "../tensor/shape.ts";
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

function checkFeed({ name, dtype, shape }: ValueInfo, feed: Tensor): void {
  if (feed.dtype !== dtype) {
    throw new RuntimeError(`input ${name} is ${dtype}, not ${feed.dtype}`);
  }
  const fits =
    feed.shape.length === shape.length &&
    shape.every((size, axis) => typeof size === "string" || size === feed.shape[axis]);
  if (!fits) {
    throw new RuntimeError(`input ${name} has shape [${shape}], not [${feed.shape}]`);
  }
  const whole = feed.shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!whole || feed.data.length !== elementCount(feed.shape)) {
    throw new RuntimeError(
      `input ${name} holds ${feed.data.length} elements, which do not fill its shape [${feed.shape}]`,
    );
  }
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

function namesOf(values: readonly ValueInfo[]): string {
  return values.map((value) => value.name).join(", ");
}
