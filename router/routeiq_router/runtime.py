"""The one border to onnxruntime: its telemetry switch, its session, its errors.

onnxruntime looks up a telemetry host while it is imported; only `ORT_DISABLE_TELEMETRY=1` in the environment
beforehand stops that, so it is imported here, on first use, and nowhere else.
"""

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError

__all__ = ["OnnxEncoder", "TokenEncoder"]

_TOKENS, _MASK = "input_ids", "attention_mask"
_OUTPUT = "embedding"


class TokenEncoder(Protocol):
    """Turns one prompt's token ids into one vector."""

    def encode(self, token_ids: list[int]) -> NDArray[np.float32]:
        """Return float32 [dimension] for the ids of one prompt."""


class OnnxEncoder:
    """A sentence encoder whose graph pools: `input_ids` int64 [1, n] to `embedding` [1, dimension].

    A graph may ask for an `attention_mask` as well; nothing is padded, so it is all ones.

    One thread, one prompt a call, no padding: a padded batch is slower and changes int8 results with the
    neighbours. Thread-safe: a session may run from several threads at once.
    """

    def __init__(self, onnx: bytes, *, subject: str) -> None:
        self._subject = subject
        self._failures, self._session = _open_session(onnx, subject)
        names = sorted(item.name for item in self._session.get_inputs())
        outputs = [item.name for item in self._session.get_outputs()]
        self._masked = _MASK in names
        if names not in ([_TOKENS], [_MASK, _TOKENS]) or outputs != [_OUTPUT]:
            raise RouterError(
                f"{subject}: takes {names} and gives {outputs}, want {[_TOKENS]} and {[_OUTPUT]}",
                subject=subject,
                hint="lay out an embedder exported by this release: `make fetch`",
            )

    def encode(self, token_ids: list[int]) -> NDArray[np.float32]:
        """Run the graph; raises `RouterError` when it cannot take these ids or gives no finite vector."""
        ids = np.asarray([token_ids], dtype=np.int64)
        try:
            (result,) = self._session.run(
                [_OUTPUT], {_TOKENS: ids, _MASK: np.ones_like(ids)} if self._masked else {_TOKENS: ids}
            )
        except self._failures as error:
            raise RouterError(
                f"{self._subject}: cannot embed: {_first_line(error)}", subject=self._subject
            ) from error
        vector: NDArray[np.float32] = np.asarray(result, dtype=np.float32).reshape(-1)
        if not np.isfinite(vector).all():
            raise RouterError(f"{self._subject}: gave a vector that is not finite", subject=self._subject)
        return vector


def _open_session(onnx: bytes, subject: str) -> tuple[tuple[type[Exception], ...], Any]:
    # The switch counts only before the import; a gateway sets it for its process as well.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    # Its exceptions share no base but Exception: every class that the binding declares is one.
    binding = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    failures = tuple(kind for kind in binding if isinstance(kind, type) and issubclass(kind, Exception))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(onnx, sess_options=options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise RouterError(
            f"{subject}: not a usable ONNX model: {_first_line(error)}", subject=subject
        ) from error
    return failures, session


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
