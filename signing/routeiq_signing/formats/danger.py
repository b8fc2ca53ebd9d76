"""Recognises what runs code when it is loaded, so that a refusal can say so. Decides nothing.

Pickles are found by their opcodes (`pickletools.genops` reads, it never executes), under any name; the usual
containers are found by their first bytes.
"""

import pickletools

__all__ = ["describe_danger", "pickle_acts"]

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
_CALLS = {"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_WINDOW = 1 << 16  # opcodes that matter come early; a pickle of megabytes need not be walked


def describe_danger(data: bytes | memoryview) -> str | None:
    """Return what `data` looks like when that can run code or hide files, else None."""
    head = bytes(data[:_WINDOW])
    for magic, text in _MAGIC:
        if head.startswith(magic):
            return text
    if head[257:262] == b"ustar":
        return "a tar archive"
    marked = head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5
    return "a Python pickle, which runs code when it is loaded" if marked or pickle_acts(head) else None


def pickle_acts(data: bytes) -> bool:
    """Tell whether `pickle.loads(data)` would call something, however the bytes go on after that.

    Protocols 0 and 1 have no marker and may be plain text. What makes one dangerous is an object looked up by a
    module and a name that can exist, and then called; prose that happens to read as opcodes does not get that far.
    """
    looked_up = False
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in {"GLOBAL", "INST"}:
                names = str(argument).split(" ")
                looked_up = looked_up or (len(names) == 2 and all(map(_is_dotted, names)))
                if looked_up and opcode.name == "INST":
                    return True
            elif opcode.name == "STACK_GLOBAL":
                looked_up = True
            elif looked_up and opcode.name in _CALLS:
                return True
    except Exception:  # noqa: BLE001  pickletools raises whatever a byte leads it to
        return False
    return False


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
