"""What onnx's own checker finds in the model files named as arguments: one JSON object, file to problem or null.

full_check infers every shape and compares it with what the file claims of its outputs.
"""
import json
import sys

import onnx


def problem(file: str) -> str | None:
    try:
        onnx.checker.check_model(file, full_check=True)
        model = onnx.load(file)
        for tensor in model.graph.initializer:
            onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


print(json.dumps({file: problem(file) for file in sys.argv[1:]}))
