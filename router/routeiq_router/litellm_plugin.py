"""Routing by a signed artifact in a stock LiteLLM: its proxy or its SDK (plug points of LiteLLM 1.106).

- `litellm_settings.callbacks: [routeiq_router.litellm_plugin.callback]` (proxy): a call for the model `auto` is sent to
  the group that was chosen; response headers tell which and why.
- `router_settings.plugins: [routeiq_router.litellm_plugin.plugin]` (proxy, and `Router(plugins=[...])`): of a group's
  deployments only those of the chosen model (`litellm_params.model`) are left.
- `router.set_custom_routing_strategy(strategy_for(router, plugin))` (SDK): the first, where no proxy is.

The names `plugin` and `callback` are made when LiteLLM looks them up, from the file that `ROUTEIQ_PLUGIN_CONFIG` names:
an artifact that is not signed, or was changed, keeps the proxy from starting. After that no request fails here:
what cannot be decided follows the declared order, and says so.
"""

import asyncio
import functools
import logging
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routeiq_router.errors import RouterError
from routeiq_router.litellm_config import VARIABLE, PluginConfig, load_router, read_config
from routeiq_router.router import Router

__all__ = ["Chosen", "Plugin", "callback_of", "load_plugin", "strategy_for", "users_text"]

_LOG = logging.getLogger(__name__)
_MAX_WAITING = 256
_MAX_CHARS = 200_000
_SIGNAL = "routeiq"


@dataclass(frozen=True, slots=True)
class Chosen:
    """One choice; `ranking` holds the candidates, best first."""

    name: str
    score: float | None
    reason: str
    artifact: str
    ranking: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Return what LiteLLM's metadata keep of it: nothing of the prompt."""
        return {
            "model": self.name, "score": self.score, "reason": self.reason, "artifact": self.artifact,
            "ranking": list(self.ranking),
        }  # fmt: skip


class Plugin:
    """One per process; implements LiteLLM's `RoutingPlugin`. One thread decides."""

    def __init__(self, router: Router, config: PluginConfig) -> None:
        self.config = config
        self._router = router
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="routeiq")
        self._waiting = 0

    async def choose(self, messages: Any, candidates: Mapping[str, str] | None = None) -> Chosen:
        """Return the choice among `candidates` (default: `models`); never raises."""
        if self._waiting >= _MAX_WAITING:
            return self._declared(candidates, "declared order: too many prompts wait for a decision")
        self._waiting += 1
        try:
            work = functools.partial(self.choose_now, messages, candidates)
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def choose_now(self, messages: Any, candidates: Mapping[str, str] | None = None) -> Chosen:
        """Return the same; blocks for some milliseconds."""
        try:
            prompt = users_text(messages)
            decision = self._router.rank(
                prompt,
                candidates or self.config.models,
                costs=self.config.costs,
                objective=self.config.objective,
                seed=zlib.crc32(prompt.encode("utf-8", "surrogatepass")),
            )
        except Exception as error:  # noqa: BLE001 - whatever is raised here would fail the caller's request
            _LOG.warning("no decision (%s): %s", type(error).__name__, error)
            return self._declared(candidates, f"declared order: {type(error).__name__}")
        ranking = tuple(entry.group for entry in decision.ranking)
        if decision.score is None:
            _LOG.warning("%s", decision.reason)
        return Chosen(decision.group, decision.score, decision.reason, decision.artifact_digest, ranking)

    async def run(self, context: Any) -> Any:
        """Narrow `context.candidate_models` to the chosen one (LiteLLM's `RoutingPlugin`)."""
        offered = set(context.candidate_models)
        known = {name: model for name, model in self.config.deployments.items() if name in offered}
        if len(offered) > 1 and known:
            chosen = await self.choose(context.structured_messages, known)
            context.candidate_models = [chosen.name]
            context.signals[_SIGNAL] = chosen.told()
        return context

    def _declared(self, candidates: Mapping[str, str] | None, reason: str) -> Chosen:
        names = tuple(candidates or self.config.models)
        return Chosen(names[0], None, reason, self._router.digest, names)


def load_plugin(environ: Mapping[str, str]) -> Plugin:
    """Return the plug-in of the file that `ROUTEIQ_PLUGIN_CONFIG` names; raises `RouteIQError`."""
    path = environ.get(VARIABLE)
    if not path:
        raise RouterError(f"{VARIABLE}: is not set", hint="name the plug-in's configuration file with it")
    config = read_config(Path(path))
    router = load_router(config)
    _LOG.info("artifact %s (%s) routes %s", router.name, router.digest, ", ".join(config.models))
    return Plugin(router, config)


def callback_of(plugin: Plugin) -> Any:
    """Return the `CustomLogger` for `litellm_settings.callbacks`."""
    from litellm.integrations.custom_logger import CustomLogger  # noqa: PLC0415 - the host's, no dependency of ours

    class Callback(CustomLogger):  # type: ignore[misc]
        """Sends calls for the plug-in's model to the group that was chosen."""

        async def async_pre_call_hook(
            self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
        ) -> dict[str, Any]:
            del user_api_key_dict, cache, call_type
            if data.get("model") != plugin.config.model:
                return data
            chosen = await plugin.choose(data.get("messages") or data.get("input") or data.get("prompt"))
            data["model"] = chosen.name
            metadata = data.get("litellm_metadata") or data.setdefault("metadata", {})
            if isinstance(metadata, dict):
                metadata[_SIGNAL] = chosen.told()
            return data

        async def async_post_call_response_headers_hook(
            self, data: dict[str, Any], *_: Any, **__: Any
        ) -> dict[str, str] | None:
            for name in ("litellm_metadata", "metadata"):
                told = (data.get(name) or {}).get(_SIGNAL) if isinstance(data.get(name), dict) else None
                if told:
                    headers = {"x-routeiq-model": told["model"], "x-routeiq-reason": told["reason"]}
                    if told["score"] is not None:
                        headers["x-routeiq-score"] = f"{told['score']:.4f}"
                    return headers
            return None

    return Callback()


def strategy_for(router: Any, plugin: Plugin) -> Any:
    """Return the strategy for `litellm.Router.set_custom_routing_strategy` of this `router`."""
    own = type(router)

    class Strategy:
        """Chooses the group; which of its deployments answers stays LiteLLM's."""

        async def async_get_available_deployment(self, model: str, *args: Any, **named: Any) -> Any:
            if model == plugin.config.model:
                model = (await plugin.choose(named.get("messages") or named.get("input"))).name
            return await own.async_get_available_deployment(router, model, *args, **named)

        def get_available_deployment(self, model: str, *args: Any, **named: Any) -> Any:
            if model == plugin.config.model:
                model = plugin.choose_now(named.get("messages") or named.get("input")).name
            return own.get_available_deployment(router, model, *args, **named)

    return Strategy()


def users_text(messages: Any) -> str:
    """Return what the users wrote, the end of it when it is long: no system prompt, no tool's result."""
    if isinstance(messages, str):
        return messages[-_MAX_CHARS:]
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, str):
            found.append(message)
        elif isinstance(message, Mapping) and message.get("role", "user") == "user":
            found += _texts(message.get("content"))
    return "\n".join(found)[-_MAX_CHARS:]


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [
        part["text"]
        for part in parts
        if isinstance(part, Mapping)
        and part.get("type") in {"text", "input_text"}
        and isinstance(part.get("text"), str)
    ]


@functools.cache
def _shared_plugin() -> Plugin:
    return load_plugin(os.environ)


@functools.cache
def _shared_callback() -> Any:
    return callback_of(_shared_plugin())


def __getattr__(name: str) -> Any:
    """Make `plugin` or `callback` when LiteLLM asks for it, once: both are of one artifact."""
    if name == "plugin":
        return _shared_plugin()
    if name == "callback":
        return _shared_callback()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
