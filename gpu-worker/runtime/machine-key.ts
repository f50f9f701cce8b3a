/**
 * Under which name what was measured on this machine may be kept: machines of one name compute alike.
 * The instructions that matter are told by the CPU's model where it is precise, and by its flags where it is not
 * (virtual machines often name just a maker).
 */
import { createHash } from "node:crypto";

export type Machine = {
  arch: string;
  /** As the operating system names it; empty where it does not. */
  cpuModel: string;
  cores: number;
  /** The instruction sets that the CPU has, where the operating system tells. */
  cpuFlags: readonly string[];
};

/** Of the flags, those that choose among ONNX Runtime's kernels. */
const kernelFlags = /^(avx|amx|fma|f16c|sse4|asimd|sve|sme|i8mm|bf16)/;

/** Letters, digits and hyphens: it can be a file's name. */
export function machineKey({ arch, cpuModel, cores, cpuFlags }: Machine): string {
  const flags = cpuFlags.filter((flag) => kernelFlags.test(flag)).toSorted();
  const model = cpuModel
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  const digest = createHash("sha256").update(flags.join(" ")).digest("hex").slice(0, 8);
  return [arch, model || "cpu", `${cores}cores`, digest].join("-");
}
