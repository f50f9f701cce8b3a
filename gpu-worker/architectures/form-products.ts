/** The products that a decoder is computed in, by its form. */
import { blockProducts } from "./block-products.ts";
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import { type DecoderForm, decoderForms } from "./decoder-form.ts";
import type { DecoderProducts } from "./decoder-products.ts";
import { f32Products } from "./f32-products.ts";
import { loraProducts } from "./lora-products.ts";
import type { Parameters } from "./parameters.ts";
import { rowProducts } from "./row-products.ts";

type ProductsOptions = {
  /** See `Int8ProductOptions`. */
  readonly saturates: boolean;
  /** With stacks of adapters, see lora-products.ts. */
  readonly lora: boolean;
  readonly architecture: DecoderArchitecture;
};

function ownProducts(form: DecoderForm, parameters: Parameters, saturates: boolean) {
  switch (form) {
    case "f32":
    case "f16":
      return f32Products(parameters);
    case "int8":
      return blockProducts(parameters, { keepsNibbles: false });
    case "int8-rotated": {
      const { embed } = blockProducts(parameters, { keepsNibbles: false });
      return rowProducts(parameters, { saturates, embed });
    }
    case "int4":
      return blockProducts(parameters, { keepsNibbles: true });
  }
}

/** @throws TypeError for adapters in a form that they are not computed beside */
export function productsIn(
  form: DecoderForm,
  parameters: Parameters,
  { saturates, lora, architecture }: ProductsOptions,
): DecoderProducts {
  const own = ownProducts(form, parameters, saturates);
  if (!lora) return own;
  if (decoderForms[form].rotated)
    throw new TypeError(`${form} has no adapters: build them in int8`);
  return loraProducts(own, parameters, architecture);
}
