"""litellm's providers for servers of one's own: embeddings by three of them, ranking by five."""

import asyncio
import os

# litellm fetches its list of prices from the internet unless told to use the one in its package.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from exchange import asked, failure, failures, key, model, tell, texts, url

litellm.suppress_debug_info = True
question: dict = asked["question"]


def embed(provider: str, base: str, name: str = model, **extra) -> list[list[float]]:
    answer = litellm.embedding(f"{provider}/{name}", input=texts, api_base=base, api_key=key, **extra)
    return [each["embedding"] for each in answer.data]


def rank(provider: str, base: str, **extra) -> list[dict]:
    answer = litellm.rerank(f"{provider}/{model}", **question, api_base=base, api_key=key, **extra)
    return [{"index": each["index"], "relevance_score": each["relevance_score"]} for each in answer.results]


async def asynchronously() -> list[list[float]]:
    answer = await litellm.aembedding(f"openai/{model}", input=texts, api_base=f"{url}/v1", api_key=key)
    return [each["embedding"] for each in answer.data]


tell(
    {
        "vectors": {
            "openai": embed("openai", f"{url}/v1", user="somebody"),
            "openai, dimensions": embed("openai", f"{url}/v1", dimensions=384, allowed_openai_params=["dimensions"]),
            "openai, asynchronously": asyncio.run(asynchronously()),
            "hosted_vllm": embed("hosted_vllm", f"{url}/v1"),
            # Without input_type it asks the hub for the model's task, and of a name that holds "sentence-
            # transformers" for similarities.
            "huggingface": embed(
                "huggingface", f"{url}/hf/models/{model}", "all-MiniLM-L6-v2", input_type="feature-extraction"
            ),
        },
        "ranks": {
            "cohere": rank("cohere", url),
            "jina_ai": rank("jina_ai", url),
            "hosted_vllm": rank("hosted_vllm", f"{url}/v1"),
            "huggingface": rank("huggingface", url, top_n=3),
            # It takes documents that are no objects, as only Infinity answers them.
            "infinity": rank("infinity", f"{url}/v1", return_documents=False),
        },
        "failures": failures(
            lambda mistake: litellm.embedding(
                f"openai/{mistake['name']}",
                input=[mistake["text"]],
                api_base=f"{url}/v1",
                api_key=mistake["key"] or key,
            )
        ),
        "too_much": failure(
            lambda: litellm.embedding(
                f"openai/{model}", input=asked["too_much"], api_base=f"{url}/v1", api_key=asked["free_key"]
            )
        ),
    }
)
