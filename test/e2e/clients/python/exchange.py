"""What a test hands a client's script on standard input, and how the script says what the client made of it."""

import json
import sys
from collections.abc import Callable

asked = json.load(sys.stdin)
url: str = asked["url"]
key: str = asked["key"]
model: str = asked["model"]
texts: list[str] = asked["texts"]


def failure(call: Callable[[], object]) -> dict | None:
    """The error that a call ends with: its class, those it inherits from, the status of the answer, and its words."""
    try:
        call()
    except Exception as error:
        answer = getattr(error, "response", None)
        return {
            "classes": [f"{each.__module__}.{each.__name__}" for each in type(error).__mro__],
            "status": getattr(error, "status_code", None) or getattr(answer, "status_code", None),
            "text": str(error),
        }
    return None


def failures(call: Callable[[dict], object]) -> list[dict | None]:
    """What becomes of each mistake of the test's list."""
    return [failure(lambda: call(mistake)) for mistake in asked["mistakes"]]


def tell(answers: dict) -> None:
    """Ends the script: one JSON object on the last line of its output."""
    print(json.dumps(answers, default=vars))
