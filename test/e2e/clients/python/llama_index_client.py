"""LlamaIndex's two classes for what speaks as OpenAI does."""

import asyncio

from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding

from exchange import asked, failure, failures, key, model, tell, texts, url

base = {"api_base": f"{url}/v1", "api_key": key, "model_name": model}
own = OpenAIEmbedding(**base)
like = OpenAILikeEmbedding(**base, embed_batch_size=2, dimensions=384)
free = OpenAILikeEmbedding(**{**base, "api_key": asked["free_key"]}, max_retries=1)
tell(
    {
        "own": own.get_text_embedding_batch(texts),
        "like": like.get_text_embedding_batch(texts),
        "asynchronously": asyncio.run(like.aget_text_embedding_batch(texts)),
        "query": own.get_query_embedding(texts[0]),
        "failures": failures(
            lambda mistake: OpenAILikeEmbedding(
                **{**base, "model_name": mistake["name"], "api_key": mistake["key"] or key}
            ).get_text_embedding(mistake["text"])
        ),
        "too_much": failure(lambda: free.get_text_embedding_batch(asked["too_much"])),
    }
)
