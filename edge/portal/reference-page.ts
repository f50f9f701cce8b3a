/**
 * The reference page: Scalar's, over this platform's own description. Everything it offers that would ask another
 * host is off, and its policy lets nothing out.
 */
import { iconUrl } from "./icon.ts";

const configuration = {
  url: "/openapi.json",
  proxyUrl: "",
  telemetry: false,
  withDefaultFonts: false,
  hideClientButton: true,
  // Of the description's schemas, a second "Models"; each stands with its operations.
  hideModels: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  persistAuth: false,
};

/** It styles itself as it goes; scripts and calls are this origin's alone. */
export const referenceCsp = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const referencePage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>LLM OS: API reference</title>
    <link rel="icon" href="${iconUrl}" />
  </head>
  <body>
    <script id="api-reference" type="application/json" data-configuration='${JSON.stringify(configuration)}'></script>
    <script src="/docs/scalar.js"></script>
    <noscript>This page needs JavaScript. What it shows is <a href="/openapi.json">/openapi.json</a>.</noscript>
  </body>
</html>
`;
