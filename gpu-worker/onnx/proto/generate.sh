#!/usr/bin/env bash
# Makes onnx_pb.js and onnx_pb.d.ts of onnx.proto as it lies in the Python package onnx (github.com/onnx/onnx,
# Apache-2.0). protoc is that of grpcio-tools. A newer onnx: change its version here, run this, and
# run the tests of test/onnx.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/python"
"$work/python/bin/python" -m pip install --quiet onnx==1.23.2 grpcio-tools==1.85.1
npm install --silent --prefix "$work" @bufbuild/protoc-gen-es@2.17.0
site=$("$work/python/bin/python" -c 'import os, onnx; print(os.path.dirname(onnx.__file__))')
"$work/python/bin/python" -m grpc_tools.protoc -I "$site" --es_out=. --es_opt=target=js+dts \
  --plugin=protoc-gen-es="$work/node_modules/.bin/protoc-gen-es" onnx.proto
