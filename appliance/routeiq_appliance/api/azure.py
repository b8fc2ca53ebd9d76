"""Azure's paths of OpenAI's dialect: the model is named in the path, the key in `api-key`.

`AzureOpenAI` of OpenAI's client and what is built on it (LlamaIndex, LangChain) use them; `api-version` says nothing
here. Shapes: Azure OpenAI's REST API reference.
"""

from collections.abc import Mapping

from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.framing import OPENAI
from routeiq_appliance.api.http import Request
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Kind, Principal

__all__ = ["PREFIXES", "AzureRoutes"]

PREFIXES = ("/openai/deployments/", "/deployments/", "/engines/")
"""What comes before the model's name; `/openai/` is left out by clients that were given a whole address."""
_KINDS: Mapping[str, Kind] = {
    "/audio/speech": "speech",
    "/chat/completions": "chat",
    "/completions": "text",
    "/embeddings": "embedding",
    "/images/generations": "image",
}


class AzureRoutes:
    """The handler; it takes a request whose caller is known."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def deployment(self, request: Request, principal: Principal) -> None:
        """`POST /openai/deployments/NAME/chat/completions` and others; raises `CallError`, 404 for no such path."""
        rest = next(request.path[len(prefix) :] for prefix in PREFIXES if request.path.startswith(prefix))
        # The longest first: `/completions` ends `/chat/completions` too. A name may hold slashes.
        for tail in sorted(_KINDS, key=len, reverse=True):
            if rest.endswith(tail) and (name := rest[: -len(tail)]):
                return await self._plane.answer(_KINDS[tail], request, principal, OPENAI, model=name)
        raise CallError(404, f"no path `{request.path[:128]}`", code="not_found")
