"""Every task through huggingface_hub's InferenceClient, unmodified."""

import asyncio

from huggingface_hub import AsyncInferenceClient, InferenceClient

from exchange import asked, failure, failures, key, model, tell, texts, url


def client(name: str, token: str = key) -> InferenceClient:
    return InferenceClient(model=f"{url}/hf/models/{name}", token=token)


async def one_by_one() -> list[list[float]]:
    async with AsyncInferenceClient(model=f"{url}/hf/models/{model}", token=key) as client:
        answers = await asyncio.gather(*(client.feature_extraction(text) for text in texts))
    return [answer[0].tolist() for answer in answers]


question: dict = asked["question"]
text = "😀 Émilie Dùpont 在北京 met שרה in Köln"
context = "The bridge was finished in 1932. " * 80
labels = ["cooking", "football", "tax law"]
goal = "The striker scored twice and the cup went home with them."

tell(
    {
        "text_classification": client("sentiment-en").text_classification("An absolute delight.", top_k=1),
        "token_classification": client("minilm-entities").token_classification(text, ignore_labels=[]),
        "question_answering": client("minilm-answers").question_answering("When was it finished?", context),
        "question_answering_several": client("minilm-answers").question_answering("When?", context, top_k=3),
        "zero_shot_similarity": client(model).zero_shot_classification(goal, labels),
        "zero_shot_entailment": client("minilm-entailment").zero_shot_classification(
            goal, labels, multi_label=True, hypothesis_template="This is about {}."
        ),
        "feature_extraction": client(model).feature_extraction(texts, normalize=True).tolist(),
        "by_base_url": InferenceClient(base_url=f"{url}/hf/models/{model}", api_key=key)
        .feature_extraction(texts)
        .tolist(),
        "one_by_one": asyncio.run(one_by_one()),
        "truncated": client(model).feature_extraction(asked["too_long"], truncate=True).shape,
        "sentence_similarity": client(model).sentence_similarity(question["query"], question["documents"]),
        "fill_mask": client("minilm-mask").fill_mask("Paris is the [MASK] of France.", top_k=2),
        "failures": failures(
            lambda mistake: client(mistake["name"], mistake["key"] or key).feature_extraction(mistake["text"])
        ),
        "too_much": failure(lambda: client(model, asked["free_key"]).feature_extraction(asked["too_much"])),
    }
)
