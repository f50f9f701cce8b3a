"""What the question-answering pipeline answers with the checkpoints that make_checkpoints.py saved. It is of transformers 4:
transformers 5 has none.

    bash bench/peers/install-python.sh oracle-4
    .bench/oracle-4/bin/python test/checkpoints/library-checkpoints/answer_questions.py test/checkpoints/library-checkpoints

writes expected-answers.json. Made with torch 2.15.0 and transformers 4.57.6.
"""
import json, pathlib, sys, warnings

import torch, transformers

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

OUT = pathlib.Path(sys.argv[1])
# Words that stand once and are a token each in most vocabularies here: of equal answers, transformers adds up the scores.
INPUTS = [
    dict(question="who jumps over the dog?", context="the lazy fox jumps over a book in this river"),
    dict(question="where?", context="is search work at the bank example"),
]
OPTIONS = [{}, {"top_k": 3}, {"top_k": 2, "max_answer_len": 2}, {"top_k": 2, "handle_impossible_answer": True}]
OPTIONS = [{**options, "align_to_words": False} for options in OPTIONS]


def rounded(found):
    if isinstance(found, list):
        return [rounded(each) for each in found]
    text = found["answer"].lstrip()  # our spans never begin with the white space before their word
    return dict(answer=text, score=round(found["score"], 6), start=found["end"] - len(text), end=found["end"])


expected = {}
for folder in sorted(OUT.glob("*-answers")):
    pipe = transformers.pipeline("question-answering", str(folder), device="cpu")
    calls = [(options, [rounded(pipe(**each, **options)) for each in INPUTS]) for options in OPTIONS]
    expected[folder.name] = [dict(task="question-answering", inputs=INPUTS, parameters=given, outputs=outputs) for given, outputs in calls]
lines = [f"{json.dumps(name)}:{json.dumps(calls, separators=(',', ':'), ensure_ascii=False)}" for name, calls in expected.items()]
(OUT / "expected-answers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
