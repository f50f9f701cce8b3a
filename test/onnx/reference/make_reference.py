"""Writes reference.onnx with onnx's own Python, and expected.json: what its reference evaluator computes with it.

    PYTHON test/onnx/reference/make_reference.py     (made with onnx 1.23.2; bench/peers/install-python.sh installs it)

The constants lie in the typed field of each element type (float_data, int32_data ...), none in raw_data, and the
attributes are of every kind that a numeric model can have, a graph among them: what our own encoder never writes or
seldom does.
"""
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

here = Path(__file__).parent
F = TensorProto.FLOAT

values = {
    "float32": (TensorProto.FLOAT, [0.5, -1.5, 3.25]),
    "float64": (TensorProto.DOUBLE, [0.25, -2.0, 1.0]),
    "float16": (TensorProto.FLOAT16, [1.5, -0.5, 2.0]),
    "bfloat16": (TensorProto.BFLOAT16, [1.0, -4.0, 0.5]),
    "int8": (TensorProto.INT8, [-128, 127, -1]),
    "uint8": (TensorProto.UINT8, [0, 255, 7]),
    "int16": (TensorProto.INT16, [-32768, 32767, -2]),
    "uint16": (TensorProto.UINT16, [0, 65535, 9]),
    "int32": (TensorProto.INT32, [-70000, 70000, -3]),
    "uint32": (TensorProto.UINT32, [0, 4000000000, 11]),
    "int64": (TensorProto.INT64, [-5000000000, 5000000000, -4]),
    "uint64": (TensorProto.UINT64, [0, 6000000000, 13]),
    "bool": (TensorProto.BOOL, [1, 0, 1]),
}
constants = [helper.make_tensor(name, kind, [3], numbers, raw=False) for name, (kind, numbers) in values.items()]
casts = [helper.make_node("Cast", [name], [f"{name}_f"], name=f"cast_{name}", to=F) for name in values]


def branch(name: str, operator: str):
    node = helper.make_node(operator, ["x", "float32"], [f"{name}_y"], name=f"{name}_node")
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(f"{name}_y", F, ["batch", 3])])


added, multiplied = branch("then", "Add"), branch("else", "Mul")
nodes = [
    *casts,
    helper.make_node("Concat", [f"{name}_f" for name in values], ["all"], name="concat", axis=0),
    helper.make_node("If", ["flag"], ["chosen"], name="if", then_branch=added, else_branch=multiplied),
    helper.make_node("Constant", [], ["two"], name="tensor", value=helper.make_tensor("", F, [], [2.0])),
    helper.make_node("Constant", [], ["floats"], name="floats", value_floats=[1.0, 10.0, 100.0]),
    helper.make_node("Constant", [], ["axes"], name="ints", value_ints=[-1]),
    helper.make_node("Mul", ["chosen", "floats"], ["scaled"], name="mul"),
    helper.make_node("Gelu", ["scaled"], ["gelu"], name="gelu", approximate="tanh"),
    helper.make_node("LeakyRelu", ["gelu"], ["leaky"], name="leaky", alpha=0.125),
    helper.make_node("Mul", ["leaky", "two"], ["doubled"], name="double"),
    helper.make_node("ReduceSum", ["doubled", "axes"], ["y"], name="sum", keepdims=0),
]
graph = helper.make_graph(
    nodes,
    "reference",
    [helper.make_tensor_value_info("x", F, ["batch", 3]), helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
    [helper.make_tensor_value_info("all", F, [39]), helper.make_tensor_value_info("y", F, ["batch"])],
    constants,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, producer_name="onnx")
helper.set_model_props(model, {"purpose": "reference"})
checker.check_model(model, full_check=True)
(here / "reference.onnx").write_bytes(model.SerializeToString(deterministic=True))

x = np.array([[0.5, -0.25, 0.125], [-1.0, 0.0, 2.0]], dtype=np.float32)
evaluator = ReferenceEvaluator(model)
runs = []
for flag in (True, False):
    everything, y = evaluator.run(None, {"x": x, "flag": np.array(flag)})
    runs.append({"flag": flag, "x": x.tolist(), "all": everything.tolist(), "y": y.tolist()})
(here / "expected.json").write_text(json.dumps(runs) + "\n")
