/** What the welcome page may do: run its own script, known by its digest, look as it does, and ask its own origin. */
import { welcomeScript } from "./welcome-script.ts";
import { welcomeStyle } from "./welcome-style.ts";

let made: Promise<string> | null = null;

/** @returns the value of `Content-Security-Policy` */
export function welcomePolicy(): Promise<string> {
  made ??= makePolicy();
  return made;
}

async function makePolicy(): Promise<string> {
  const [script, style] = await Promise.all([sourceOf(welcomeScript), sourceOf(welcomeStyle)]);
  return [
    "default-src 'none'",
    `script-src ${script}`,
    `style-src ${style}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

async function sourceOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}
