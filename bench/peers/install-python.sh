#!/usr/bin/env bash
# Installs the Python peers into .bench/python. Set PEER_PYTHON to use an interpreter that has them already.
# With a name, the libraries of requirements-NAME.txt into .bench/NAME: train, which bench/train.ts is measured beside;
# clients, which test/e2e/clients.test.ts runs against our stack; oracle and oracle-4, which the checkpoints of
# test/checkpoints/library-checkpoints and their expected answers were made with.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:-python}
requirements=bench/peers/requirements${1:+-$1}.txt
python3 -m venv ".bench/$name"
".bench/$name/bin/python" -m pip install --quiet --requirement "$requirements"
