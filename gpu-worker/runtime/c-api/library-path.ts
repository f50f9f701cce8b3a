/**
 * Where the ONNX Runtime library lies that onnxruntime-node ships for this platform. Does not open it.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { RuntimeError } from "../session.ts";

const fileNames: Readonly<Record<string, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

/** @throws RuntimeError where onnxruntime-node is missing or ships nothing for `platform` and `arch` */
export function libraryPath(platform: string, arch: string): string {
  const fileName = fileNames[platform];
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  const folder = path.join(path.dirname(main), "..", "bin", "napi-v6", platform, arch);
  const file = path.join(folder, fileName ?? "");
  if (fileName === undefined || !existsSync(file)) {
    throw new RuntimeError(
      `onnxruntime-node ships no library for ${platform}/${arch} in ${folder}`,
    );
  }
  return file;
}
