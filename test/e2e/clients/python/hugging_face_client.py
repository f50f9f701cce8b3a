"""Every task through huggingface_hub's InferenceClient, unmodified. Prints one JSON object: what each call gave.

Usage: hugging_face_client.py URL KEY
"""

import json
import sys

from huggingface_hub import InferenceClient

url, key = sys.argv[1:]


def client(model: str) -> InferenceClient:
    return InferenceClient(model=f"{url}/hf/models/{model}", token=key)


text = "😀 Émilie Dùpont 在北京 met שרה in Köln"
context = "The bridge was finished in 1932. " * 80
labels = ["cooking", "football", "tax law"]
goal = "The striker scored twice and the cup went home with them."

print(
    json.dumps(
        {
            "text_classification": client("sentiment-en").text_classification("An absolute delight.", top_k=1),
            "token_classification": client("minilm-entities").token_classification(text, ignore_labels=[]),
            "question_answering": client("minilm-answers").question_answering("When was it finished?", context),
            "question_answering_several": client("minilm-answers").question_answering("When?", context, top_k=3),
            "zero_shot_similarity": client("all-MiniLM-L6-v2").zero_shot_classification(goal, labels),
            "zero_shot_entailment": client("minilm-entailment").zero_shot_classification(
                goal, labels, multi_label=True, hypothesis_template="This is about {}."
            ),
            "feature_extraction": client("all-MiniLM-L6-v2").feature_extraction(["a", "b"], normalize=True).shape,
            "sentence_similarity": client("all-MiniLM-L6-v2").sentence_similarity("a cat", ["a kitten", "tax law"]),
            "fill_mask": client("minilm-mask").fill_mask("Paris is the [MASK] of France.", top_k=2),
        },
        default=vars,
    )
)
