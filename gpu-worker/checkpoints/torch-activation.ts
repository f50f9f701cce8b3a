/**
 * Activation functions as sentence-transformers' files name them: by the path of torch's class, made without arguments.
 */
import type { ActivationName } from "../architectures/activation.ts";

const names: Readonly<Record<string, ActivationName>> = {
  GELU: "gelu",
  Identity: "linear",
  ReLU: "relu",
  SiLU: "silu",
  Sigmoid: "sigmoid",
  Tanh: "tanh",
};

/** @param of who has it, for the message @throws Error for any other */
export function torchActivation(path: string, of: string): ActivationName {
  const [, name = ""] = /^torch\.nn\.(?:modules\.\w+\.)?(\w+)$/.exec(path) ?? [];
  const known = Object.hasOwn(names, name) ? names[name] : undefined;
  if (known !== undefined) return known;
  throw new Error(
    `the activation function ${path} of ${of} is not served, only torch.nn's ${Object.keys(names).join(", ")}`,
  );
}
