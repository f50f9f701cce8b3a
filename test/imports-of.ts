/** What a file imports, read from its text: type-only imports and lazy ones included. */
import path from "node:path";

const importPattern = new RegExp(
  [
    String.raw`(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s*["']([^"']+)["']`,
    String.raw`(?:^|\n)\s*import\s*["']([^"']+)["']`,
    String.raw`\bimport\(\s*["']([^"']+)["']\s*\)`,
  ].join("|"),
  "g",
);

/** Paths of ours, from the root, that `text` imports. */
export function importsOf(file: string, text: string): string[] {
  const specifiers = [...text.matchAll(importPattern)].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
  return specifiers.flatMap((specifier) => {
    if (specifier.startsWith("#contract/")) return [specifier.slice(1)];
    if (!specifier.startsWith(".")) return [];
    return [path.posix.join(path.posix.dirname(file), specifier)];
  });
}
