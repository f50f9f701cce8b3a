#!/usr/bin/env bash
# Has schemathesis try what the description of a running stack promises, in all its phases. Fails where a request of the
# described form is refused, one of another form is accepted, an answer is not as described, or a server error comes.
#
#   bench/peers/schemathesis.sh http://127.0.0.1:8787 .llm-os/operator-key --max-examples 30
#
# Models that are not fetched yet answer 500 where there is no network. Needs install-python.sh, or PEER_PYTHON.
set -euo pipefail
url=$1
key=$(cat "$2")
python=$(realpath -s "${PEER_PYTHON:-$(dirname "$0")/../../.bench/python/bin/python}")
shift 2
cd "$(dirname "$0")"
exec "$python" -m schemathesis.cli run "$url/openapi.json" --header "authorization: Bearer $key" \
  --continue-on-failure --no-shrink --suppress-health-check all "$@"
