"""What schemathesis cannot read off a schema and a caller can: which model does a task, and what is the model's own.

Each rule stands in docs/api.md. A request that is meant to be accepted is changed to keep them, and one that is meant
to be refused so that none of them makes it acceptable: what remains is a failure.
"""

import functools
import re

import requests
import schemathesis

# Cloudflare's front answers larger bodies itself.
BODY_CHARACTERS_MAX = 100_000_000


@functools.cache
def models(url: str) -> dict[str, dict]:
    """Those that are here, by each of their names."""
    listed = requests.get(f"{url}/v1/models", timeout=10).json()["data"]
    here = [model for model in listed if model["reason"] is None]
    return {name: model for model in here for name in [model["id"], *model["aliases"]]}


def implied_task(body: dict) -> str:
    """Of /hf/models/{model}, whose body says it."""
    parameters = body.get("parameters") or {}
    given = body.get("inputs")
    first = given[0] if isinstance(given, list) else given
    for field, task in [
        ("candidate_labels", "zero-shot-classification"),
        ("examples", "few-shot-classification"),
        ("question", "question-answering"),
        ("source_sentence", "sentence-similarity"),
        ("query", "rerank"),
    ]:
        if field in parameters or (isinstance(first, dict) and field in first):
            return task
    return "text-classification"


def task_of(path: str, body: dict) -> str | None:
    """None: any model will do."""
    if path == "/hf/models/{model}":
        return implied_task(body)
    if path == "/v1/embeddings":
        return "feature-extraction"
    if path.endswith("/rerank"):
        return "rerank"
    found = re.fullmatch(r"/v1/tasks/(.*)|/hf/models/{model}/pipeline/(.*)", path)
    task = found and (found[1] or found[2])
    return None if task in ("tokenize", "detokenize") else task


def one_that_does(task: str | None, known: dict[str, dict], named: str) -> str:
    """The model that was named, if it does the task or is nobody; else the first that does."""
    if named not in known or task is None or task in known[named]["tasks"]:
        return named
    return next((name for name, model in known.items() if task in model["tasks"]), "nobody")


def each_number(value, change):
    """Of lists within lists, with everything else as it is."""
    if isinstance(value, list):
        return [each_number(each, change) for each in value]
    return change(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def fit_input(task: str | None, given):
    """Of one input or several: what the task looks for in it is there."""
    if isinstance(given, list):
        return [fit_input(task, each) for each in given]
    if task == "fill-mask":
        return given.replace("[MASK]", "")[:100] + "[MASK]"
    if task == "question-answering":
        return {**given, "context": "Words. " + given["context"].removeprefix("Words. ")}
    return given


def fit_parameters(task: str | None, fields: dict) -> None:
    """How the fields of one request depend on each other."""
    # Names of prompts are the model's own.
    fields.pop("prompt_name", None)
    if task == "question-answering":
        # A question must fit within these.
        fields.pop("max_question_len", None)
        fields.pop("max_seq_len", None)
    examples = fields.get("examples")
    if isinstance(examples, list) and len(examples) > 1:
        examples[0]["label"], examples[1]["label"] = "one", "other"


def without_nulls(body: dict) -> dict:
    """null counts as the absence of a field that may be left out; in its place stands what no field takes."""
    nothing = {"nobody": "takes this"}
    return {
        name: nothing if value is None else without_nulls(value) if isinstance(value, dict) else value
        for name, value in body.items()
    }


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    if len(str(body)) > BODY_CHARACTERS_MAX:
        case.body = []
        return
    if case.meta is None:
        return
    if not case.meta.generation.mode.is_positive:
        case.body = without_nulls(body)
        return
    known = models(case.operation.base_url.rstrip("/"))
    path = case.operation.path
    # A webhook is only told of asynchronous jobs, and one that a fuzzer makes up would reach strangers.
    for field in ("webhook", "webhook_events_filter", "webhook_secret"):
        body.pop(field, None)
    task = task_of(path, body)
    if path == "/hf/models/{model}" and task == "text-classification":
        # The same body is also one of tasks whose models it does not name.
        body = case.body = {"inputs": body["inputs"]}
    at = case.path_parameters if "{model}" in path else body
    if isinstance(at.get("model"), str):
        at["model"] = one_that_does(task, known, at["model"])
    places = [body, body.get("parameters") or {}]
    for fields in places:
        fit_parameters(task, fields)
    if any(fields.get("pooling") == "none" for fields in places):
        # What normalize scales is not made, and a request may ask for vectors of so many tokens.
        for fields in places:
            fields.pop("normalize", None)
        if isinstance(body["inputs"], list):
            body["inputs"] = body["inputs"][:100]
    model = known.get(at.get("model"))
    if model is None:
        return
    if "inputs" in body:
        body["inputs"] = fit_input(task, body["inputs"])
    for field in ("tokens", "input", "inputs"):
        if field in body:
            size = model["limits"]["vocabulary_size"]
            body[field] = each_number(body[field], lambda number: int(number) % size)
    if path == "/v1/embeddings" and "dimensions" in body:
        body["dimensions"] = model["limits"]["dimensions"]
