#!/usr/bin/env bash
# Installs the Python peers into .bench/python. Set PEER_PYTHON to use an interpreter that has them already.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 -m venv .bench/python
.bench/python/bin/python -m pip install --quiet --requirement bench/peers/requirements.txt
