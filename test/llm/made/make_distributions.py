"""Writes distributions.json: what transformers' LogitsProcessors make of rows of logits, in double precision.

python make_distributions.py    (transformers 5.24, torch 2.15)
"""

import json
import itertools
from pathlib import Path

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

VOCABULARY = 48
generator = torch.Generator().manual_seed(10)
rows = [
    [round(x, 4) for x in (torch.randn(VOCABULARY, generator=generator) * scale).tolist()]
    for scale in (0.5, 2.0, 6.0)
]
prompt, output = [3, 5, 5, 7], [7, 9, 9, 9, 11]


def processors(case):
    chain = []
    if case["logitBias"]:
        chain.append(SequenceBiasLogitsProcessor([[[t], float(b)] for t, b in case["logitBias"]]))
    if case["repetitionPenalty"] != 1:
        chain.append(RepetitionPenaltyLogitsProcessor(case["repetitionPenalty"]))
    chain.append(TemperatureLogitsWarper(case["temperature"]))
    if case["topK"]:
        chain.append(TopKLogitsWarper(case["topK"]))
    if case["topP"] < 1:
        chain.append(TopPLogitsWarper(case["topP"]))
    if case["minP"]:
        chain.append(MinPLogitsWarper(case["minP"]))
    return LogitsProcessorList(chain)


cases = []
for row, temperature, top_k, top_p, min_p, (repetition, bias) in itertools.product(
    range(3), (0.3, 1.0, 1.7), (0, 1, 12), (1.0, 0.9, 0.35), (0.0, 0.08),
    ((1.0, []), (1.3, [[2, 3.5], [7, -4.0]])),
):
    case = dict(row=row, temperature=temperature, topK=top_k, topP=top_p, minP=min_p,
                repetitionPenalty=repetition, logitBias=bias)
    ids = torch.tensor([prompt + output])
    # Logits are float32 values; the sums are of float64.
    scores = torch.tensor([rows[row]], dtype=torch.float32).double()
    probabilities = processors(case)(ids, scores).softmax(-1)[0].tolist()
    kept = [[t, float(f"{p:.9g}")] for t, p in enumerate(probabilities) if p > 0]
    cases.append({**case, "probabilities": kept})

out = {"rows": rows, "prompt": prompt, "output": output, "cases": cases}
Path(__file__).with_name("distributions.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
print(len(cases))
