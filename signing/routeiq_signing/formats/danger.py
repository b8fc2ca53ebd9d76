"""Names what runs code when it is loaded, or hides files, so that a refusal can say so. Decides nothing.

`describe_danger` is for a file that was refused, by its first bytes under any name, and looks into archives as far
as `archives` does. `second_reading` is for a file that a format accepted: whether other programs would take the same
bytes for something else; a file with two readings is refused.
"""

from routeiq_signing.formats.archives import has_tar_header, parts
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.pickles import read_pickle
from routeiq_signing.formats.shown import shown

__all__ = ["describe_danger", "second_reading"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAGIC = (
    (b"PK\x03\x04", "a zip archive (PyTorch, NumPy .npz, Keras and joblib files are zips of pickles)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    (b"\x93NUMPY", "a NumPy array, which may hold pickled objects"),
    (_HDF5, "an HDF5 file (Keras), which may hold marshalled code"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\0asm", "a program"),
    (b"#!", "a script"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"TFL3", "a TensorFlow Lite model"),
)
_LEGACY_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_FAMILIES = (
    ("torch", "PyTorch"),
    ("joblib", "joblib"),
    ("dill", "dill"),
    ("cloudpickle", "cloudpickle"),
    ("sklearn", "scikit-learn"),
    ("keras", "Keras"),
    ("numpy", "NumPy"),
    ("pandas", "pandas"),
)
_PART_STEPS = 10_000
_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 0xFFFF


def describe_danger(data: Content) -> str | None:
    """Return what `data` looks like when that can run code or hide files, else None."""
    left = [FORMAT_LIMITS.archive_parts]
    return _describe(bytes(data[: FORMAT_LIMITS.archive_window]), 0, left)


def second_reading(data: Content, *, steps: int = FORMAT_LIMITS.pickle_steps) -> str | None:
    """Return what else than its format `data` can be read as, else None.

    Pickles, tars and scripts are read from the first byte, zips from the last, HDF5 behind a block of the user's.
    """
    reading = read_pickle(data, steps)
    if reading.acts:
        return _pickle(reading.names)
    head = bytes(data[:512])
    if has_tar_header(head):
        return "a tar archive"
    if head.startswith((b"#!/", b"#! /")):
        return "a script"
    if _ends_as_zip(data):
        return "a zip archive"
    at = 512
    while at < len(data):
        if bytes(data[at : at + 8]) == _HDF5:
            return "an HDF5 file"
        at *= 2
    return None


def _describe(head: bytes, depth: int, left: list[int]) -> str | None:
    text = next((text for magic, text in _MAGIC if head.startswith(magic)), None)
    if head.startswith(b"\x93NUMPY") and b"'O'" in head[:256].replace(b"|O", b"O"):
        return "a NumPy array of pickled objects"
    if text is None and (head[257:262] == b"ustar" or has_tar_header(head)):
        text = "a tar archive"
    if text is None:
        reading = read_pickle(head, _PART_STEPS)
        marked = head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5
        if marked or reading.acts:
            legacy = _LEGACY_TORCH in head[:32]
            return _pickle(reading.names, "PyTorch's older format, " if legacy else "")
    if depth >= FORMAT_LIMITS.archive_depth:
        return text
    for name, part in parts(head):
        if left[0] <= 0:
            break
        left[0] -= 1
        inner = _describe(part, depth + 1, left)
        if inner is not None:
            member = f" that holds {shown(name, 80)}" if name else ""
            return f"{text or 'a compressed stream'}{member}: {inner}"
    return text


def _pickle(names: tuple[str, ...], before: str = "") -> str:
    modules = {name.split(".")[0] for name in names}
    family = next((f" of {title}" for module, title in _FAMILIES if module in modules), "")
    looked_up = f" (it names {shown(names[0], 80)})" if names else ""
    return f"{before}a Python pickle{family}, which runs code when it is loaded{looked_up}"


def _ends_as_zip(data: Content) -> bool:
    """Tell whether a reader that starts at the end finds a zip: the end record, and before it a directory."""
    tail = bytes(data[max(0, len(data) - _ZIP_TAIL) :])
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        if len(tail) - at >= 22:
            size = int.from_bytes(tail[at + 12 : at + 16], "little")
            start = len(data) - len(tail) + at - size
            if size == 0 and tail[at + 4 : at + 12] == bytes(8):
                return True
            if start >= 0 and bytes(data[start : start + 4]) == b"PK\x01\x02":
                return True
            if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):  # zip64
                return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False
