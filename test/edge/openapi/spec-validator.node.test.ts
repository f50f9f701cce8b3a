/** The published description by a validator in Python, where that is here: see bench/peers/lint-openapi.sh. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { describeApi } from "../../../edge/openapi/describe-api.ts";
import { peerPython } from "../../peer-python.ts";

const usable = peerPython({
  modules: ["openapi_spec_validator"],
  what: "openapi-spec-validator",
  script: "lint-openapi.sh",
  folder: "openapi/python",
});

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
