/**
 * Keeps a library in memory until the process has ended. koffi unloads its libraries when JavaScript ends, a moment
 * before the process does: a thread of ONNX Runtime's that wakes in between would run into nothing (seen as a crash at
 * exit, once in fifty).
 */
import { constants } from "node:os";
import process from "node:process";
import koffi from "koffi";
import { RuntimeError } from "../session.ts";

/** RTLD_NODELETE, which Node does not name: dlfcn.h of Linux (glibc and musl) and of macOS. */
const noDelete = process.platform === "darwin" ? 0x80 : 0x1000;

/** @param file a library that is loaded already, or can be by itself. @throws RuntimeError with the linker's reason */
export function pinLibrary(file: string): void {
  const handle = process.platform === "win32" ? loadOnceMore(file) : openForGood(file);
  if (handle === null) throw new RuntimeError(`${file} cannot be kept in memory${linkerReason()}`);
}

function linkerReason(): string {
  if (process.platform === "win32") return "";
  const reason: string | null = koffi.load(null).func("dlerror", "str", [])();
  return reason === null ? "" : `: ${reason}`;
}

function openForGood(file: string): bigint | null {
  const open = koffi.load(null).func("dlopen", "void *", ["str", "int"]);
  return open(file, constants.dlopen.RTLD_NOW | noDelete);
}

/** Windows counts loads, and this one is never taken back. */
function loadOnceMore(file: string): bigint | null {
  return koffi.load("kernel32.dll").func("LoadLibraryW", "void *", ["str16"])(file);
}
