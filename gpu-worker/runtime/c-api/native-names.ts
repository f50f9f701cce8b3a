/**
 * Names of inputs and outputs as C reads them. A decoder has more than a hundred, and to have them copied for each run
 * took 0.8 ms of it: they are copied once for a process, which knows a bounded number.
 */
import process from "node:process";
import koffi from "koffi";
import type { Pointer } from "./native-function.ts";

/** `char *strdup(const char *)` of string.h. */
function findDuplicate(): (text: string) => Pointer {
  const windows = process.platform === "win32";
  const library = koffi.load(windows ? "msvcrt.dll" : null);
  return library.func(windows ? "_strdup" : "strdup", "void *", ["str"]);
}

/** Found at the first use: koffi takes no more configuration once it has loaded a library. */
let duplicate: ReturnType<typeof findDuplicate> | undefined;
const addresses = new Map<string, Pointer>();

/** The addresses of the names, `const char *[]`. */
export function nativeNames(names: readonly string[]): BigUint64Array {
  return BigUint64Array.from(names, (name) => {
    duplicate ??= findDuplicate();
    const address = addresses.get(name) ?? duplicate(name);
    addresses.set(name, address);
    return address;
  });
}
