/** The product's own generator, for benchmarks and tests. */
export { type Random, randomFrom } from "../../gpu-worker/tensor/random.ts";
