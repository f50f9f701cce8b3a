"""Peer of bench/embeddings.ts: ONNX Runtime from Python, texts sorted by length and batched by hand.

Usage: embed.py MODEL_FOLDER THREADS < texts.json
Reads a JSON list of texts, prints one JSON object: {"batch", "texts_per_second", "first": [...]}, the best batch size's
figures and the first text's vector. Tokenization, pooling and normalisation are inside the time, as they are for us.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

BATCH_SIZES = (8, 16, 32, 64)
MAX_TOKENS = 256


def load(folder: str, threads: int):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        f"{folder}/onnx/model.onnx", options, providers=["CPUExecutionProvider"]
    )
    return tokenizer, session


def embed(tokenizer, session, texts, batch):
    encoded = tokenizer.encode_batch(texts)
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
    vectors = [None] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        longest = max(len(encoded[i].ids) for i in chosen)
        ids = np.zeros((len(chosen), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(chosen):
            length = len(encoded[i].ids)
            ids[row, :length] = encoded[i].ids
            mask[row, :length] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(["last_hidden_state"], feeds)[0]
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        for row, i in enumerate(chosen):
            vectors[i] = pooled[row]
    return vectors


def main() -> None:
    folder, threads = sys.argv[1], int(sys.argv[2])
    texts = json.load(sys.stdin)
    tokenizer, session = load(folder, threads)
    embed(tokenizer, session, texts[:64], 32)
    best = None
    for batch in BATCH_SIZES:
        start = time.perf_counter()
        vectors = embed(tokenizer, session, texts, batch)
        rate = len(texts) / (time.perf_counter() - start)
        if best is None or rate > best["texts_per_second"]:
            best = {"batch": batch, "texts_per_second": rate, "first": vectors[0].tolist()}
    print(json.dumps(best))


main()
