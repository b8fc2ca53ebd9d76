"""Recognises what runs code when it is loaded, so that a refusal can say so. Decides nothing.

Pickles are found by their opcodes (`pickletools.genops` reads, it never executes), under any name; the usual
containers are found by their first bytes.
"""

import pickletools

__all__ = ["describe_danger"]

_MAGIC = (
    (b"PK\x03\x04", "a zip archive (PyTorch, NumPy .npz, Keras and joblib files are zips of pickles)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file"),
    (b"\x93NUMPY", "a NumPy array, which may hold pickled objects"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras), which may hold marshalled code"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
)
_WINDOW = 1 << 16  # opcodes that matter come early; a pickle of megabytes need not be walked


def describe_danger(data: bytes | memoryview) -> str | None:
    """Return what `data` looks like when that can run code or hide files, else None."""
    head = bytes(data[:_WINDOW])
    for magic, text in _MAGIC:
        if head.startswith(magic):
            return text
    if head[257:262] == b"ustar":
        return "a tar archive"
    return "a Python pickle, which runs code when it is loaded" if _is_pickle(head) else None


def _is_pickle(head: bytes) -> bool:
    if head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5:
        return True
    # Protocols 0 and 1 have no marker: three opcodes that read well are no accident when one of them acts.
    acts = {"GLOBAL", "REDUCE", "INST", "OBJ", "BUILD", "PUT", "BINPUT", "APPEND", "SETITEM", "MARK", "STOP"}
    seen = 0
    acted = False
    try:
        for opcode, _, position in pickletools.genops(head):
            seen += 1
            acted = acted or opcode.name in acts
            if opcode.name == "STOP":
                return acted and (position or 0) + 1 >= min(len(head), 3)
            if seen > 200:
                return acted
    except Exception:  # noqa: BLE001  pickletools raises whatever a byte leads it to
        return acted and seen >= 3
    return acted and seen >= 3
