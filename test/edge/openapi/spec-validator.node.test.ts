/** The published description by a validator in Python, where that is here: see bench/peers/lint-openapi.sh. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { describeApi } from "../../../edge/openapi/describe-api.ts";

const installed = path.resolve(import.meta.dirname, "../../../.bench/openapi/python/bin/python");
const python = process.env["PEER_PYTHON"] ?? (existsSync(installed) ? installed : null);

function hasValidator(program: string): boolean {
  try {
    execFileSync(program, ["-c", "import openapi_spec_validator"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const usable = python !== null && hasValidator(python) ? python : null;
if (usable === null) {
  console.info("Skipped: openapi-spec-validator, which bench/peers/lint-openapi.sh installs");
}

const program = `
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
for error in OpenAPIV31SpecValidator(json.load(sys.stdin)).iter_errors():
    print(list(error.absolute_path), error.message)
`;

it.skipIf(usable === null)("is valid to openapi-spec-validator", () => {
  const input = JSON.stringify(describeApi("https://edge.test"));
  expect(execFileSync(usable ?? "python3", ["-c", program], { input }).toString()).toBe("");
});
