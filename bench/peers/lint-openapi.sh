#!/usr/bin/env bash
# Has three other tools read the published description: spectral, redocly and openapi-spec-validator. Installs them into
# .bench/openapi: together they are too large to be installed for everybody. Fails where one of them finds an error.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
folder=.bench/openapi
mkdir -p "$folder"
[ -e "$folder/package.json" ] || echo '{ "private": true }' >"$folder/package.json"
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent \
  @redocly/cli@2.77.0 @stoplight/spectral-cli@6.16.3
python3 -m venv "$folder/python"
"$folder/python/bin/python" -m pip install --quiet openapi-spec-validator==0.9.0
node --input-type=module --eval '
  import { describeApi } from "./edge/openapi/describe-api.ts";
  process.stdout.write(JSON.stringify(describeApi("https://api.llm-os.test"), null, 1));
' >"$folder/openapi.json"
echo 'extends: ["spectral:oas"]' >"$folder/spectral.yaml"
"$folder/node_modules/.bin/spectral" lint --ruleset "$folder/spectral.yaml" "$folder/openapi.json"
"$folder/node_modules/.bin/redocly" lint --extends recommended "$folder/openapi.json"
"$folder/python/bin/openapi-spec-validator" "$folder/openapi.json"
