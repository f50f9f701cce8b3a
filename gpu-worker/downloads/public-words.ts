/** What of a text of foreign origin callers may read. */
import path from "node:path";

const address = /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>)\]]+/gi;
const hostAndPort = /\b(localhost|\d{1,3}(\.\d{1,3}){3}|[\w-]+(\.[\w-]+){2,})(:\d{2,5})\b/gi;
const absolutePath = /(?<![\w./~-])(?:[a-z]:\\|\/)(?:[^\s"'`,;:()]*[\\/])[^\s"'`,;:()]*/gi;

/** A text of foreign origin without paths and addresses: of a path its last part stays. */
export function publicWords(text: string): string {
  return text
    .replaceAll(address, "(an address)")
    .replaceAll(hostAndPort, "(an address)")
    .replaceAll(absolutePath, (found) => path.win32.basename(found));
}
