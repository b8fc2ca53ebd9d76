"""Switches every library's phone-home off; `apply` must run before anything heavy is imported.

Each name was found by watching what the library looks up without it. A switch that a pinned version does not
know does no harm; `egress.guard` sees what slips by.
"""

from collections.abc import MutableMapping

__all__ = ["SWITCHES", "apply"]

SWITCHES = {
    # litellm: model prices, provider headers, blog posts and templates from GitHub and its own site. It compares
    # with "true" in lower case; newer versions know one switch for all.
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "true",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_TELEMETRY": "False",
    # Hugging Face: tokenizers of llama-named models on the first streaming call.
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # onnxruntime: a look-up of its telemetry host on import; only the variable stops it.
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # The cloud SDKs that litellm may use ask a metadata address for credentials.
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_GCE_CHECK": "true",
}


def apply(environ: MutableMapping[str, str]) -> None:
    """Set every switch in `environ` (`os.environ` in production), whatever it held."""
    environ.update(SWITCHES)
    # A proxy would carry calls past every check of where we dial: destinations come from the configuration only.
    for name in [name for name in environ if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}]:
        del environ[name]
    # litellm carries its tokenizer files; a foreign setting would make it fetch and write.
    environ.pop("CUSTOM_TIKTOKEN_CACHE_DIR", None)
