"""RouteIQ Router: predicts how well each model will answer a prompt, and ranks models by quality and cost.

Serving: `router.Router` (load verified bytes, rank candidates), on `embedder`, `artifact`, `strategies/`
and `decide`; it imports numpy, onnxruntime, tokenizers and safetensors, nothing heavier.
Making artifacts: `training/` (scikit-learn) and `evaluation/`.
Nothing is imported here, so that a part costs only what it needs.
"""

__all__: list[str] = []
