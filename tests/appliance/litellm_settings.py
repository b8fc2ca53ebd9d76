"""The names of LiteLLM's settings, taken from the installed wheel: what its types and its proxy's sources say.

Read, not imported: the proxy's modules need packages that this product does not have.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "general_names",
    "library_names",
    "model_info_names",
    "param_names",
    "router_names",
    "section_names",
]

_DATA = re.compile(r"(_models|_llms|_set|_list|_dict|models_by_provider|_map)$")
_SETTINGS_LIKE_DATA = frozenset({
    "blocked_user_list", "banned_keywords_list", "credential_list", "custom_prompt_dict", "custom_provider_map",
    "guardrail_name_config_map", "model_alias_map", "prompt_name_config_map", "model_list",
})  # fmt: skip
_OBJECTS = frozenset({
    "bedrock_tool_name_mappings", "logging_callback_manager", "module_level_aclient", "module_level_client",
    "undefined",
})  # fmt: skip
"""Clients and caches that the module makes for itself, and the name of nothing in its sources."""
_NO_SECTIONS = frozenset({"force_reload", "interval_hours"})
"""Read from another dictionary of that name: a schedule."""


def _root() -> Path:
    found = importlib.util.find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _class_fields(path: str, name: str) -> set[str]:
    tree = ast.parse((_root() / path).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        node.target.id
        for node in found.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id != "model_config"
        and "ClassVar" not in ast.unparse(node.annotation)
    }


def _read_by_the_proxy(variable: str) -> set[str]:
    """Return the names that the proxy's sources look up in a dictionary called `variable`."""
    look_up = re.compile(
        rf"""\b{variable}(?:\.get\(|\[)\s*["'](\w+)["']|["'](\w+)["'] (?:not )?in {variable}\b"""
    )
    found = set()
    for path in (_root() / "proxy").rglob("*.py"):
        found |= {one or other for one, other in look_up.findall(path.read_text())}
    return found


def general_names() -> set[str]:
    """`general_settings`."""
    return _class_fields("proxy/_types.py", "ConfigGeneralSettings") | _read_by_the_proxy("general_settings")


def router_names() -> set[str]:
    """`router_settings`: what the router's constructor takes, and what may be updated while it runs."""
    tree = ast.parse((_root() / "router.py").read_text())
    (router,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Router"]
    (made,) = [node for node in router.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    taken = {argument.arg for argument in (*made.args.args, *made.args.kwonlyargs)} - {"self"}
    assert len(taken) > 40, "the constructor is written in another way"
    return taken | _class_fields("types/router.py", "UpdateRouterConfig")


def library_names() -> set[str]:
    """`litellm_settings`: attributes of the module that are no data or functions, and what the proxy reads."""
    found = {name for name, kind in _attributes() if _is_setting(name, kind)}
    server = (_root() / "proxy/proxy_server.py").read_text()
    branches = re.search(
        r"for key, value in litellm_settings\.items\(\):(.*?)\n            ## GENERAL", server, re.DOTALL
    )
    found |= set(re.findall(r'key == "(\w+)"', branches[1] if branches else server))
    return (found | _read_by_the_proxy("litellm_settings")) - _OBJECTS


def _attributes() -> Iterator[tuple[str, str]]:
    """Yield name and type of what LiteLLM's module assigns."""
    waiting = list(ast.parse((_root() / "__init__.py").read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If | ast.Try):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign):
            yield from ((target.id, "") for target in node.targets if isinstance(target, ast.Name))


def _is_setting(name: str, kind: str) -> bool:
    if name.startswith("_") or name != name.lower() or name in _OBJECTS:
        return False
    if kind.startswith(("Callable", "Set")):
        return False
    return name in _SETTINGS_LIKE_DATA or _DATA.search(name) is None


def model_info_names() -> set[str]:
    """`model_info`."""
    return _class_fields("types/router.py", "ModelInfo")


def param_names() -> set[str]:
    """`litellm_params`, prices included."""
    found = _class_fields("types/router.py", "LiteLLM_Params")
    for name in ("GenericLiteLLMParams", "CredentialLiteLLMParams"):
        found |= _class_fields("types/router.py", name)
    for name in ("CustomPricingLiteLLMParams", "MirroredPricingParams"):
        found |= _class_fields("types/utils.py", name)
    return found


def section_names() -> set[str]:
    """The file's sections: those that are published, and those that the proxy reads."""
    server = (_root() / "proxy/proxy_server.py").read_text()
    read = set(re.findall(r'\bconfig(?:_data)?(?:\.get\(|\[)\s*["\'](\w+)["\']', server))
    return (_class_fields("proxy/_types.py", "ConfigYAML") | read) - _NO_SECTIONS
