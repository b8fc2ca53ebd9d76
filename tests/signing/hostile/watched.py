"""A program: judges the files of a folder under limits of memory and time, and notes what Python is made to do.

    PYTHONPATH=signing python watched.py FOLDER NAMES.json

What is noted are the audit events of executing, importing, unpickling, unmarshalling, starting a program, calling C,
connecting, and opening any file but those of the folder.
"""

import json
import resource
import sys
from pathlib import Path

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.check import check_format
from routeiq_signing.formats.content import FileContent

_WATCHED = (
    *("compile", "exec", "import", "marshal.", "pickle.", "os.system", "os.exec", "os.fork", "subprocess."),
    *("ctypes.", "socket.", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "shutil.", "open"),
)


def main() -> None:
    folder, names = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    events: list[str] = []
    on = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        inside = event == "open" and str(arguments[0]).startswith(str(folder))
        if on and event.startswith(_WATCHED) and not inside:
            events.append(f"{event} {arguments!r}"[:300])

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    sys.addaudithook(hook)
    refused = 0
    for number, name in names.items():
        with (folder / number).open("rb") as file:
            content = FileContent(file.fileno(), (folder / number).stat().st_size, name)
            refused += _refused(content, name)
    on = False
    sys.stdout.write(json.dumps({"refused": refused, "events": events, "peak_kb": _peak_kb()}))


def _peak_kb() -> int:
    """The most memory that this program held, in KiB: `ru_maxrss` would count the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _refused(content: FileContent, name: str) -> bool:
    try:
        check_format(content, name)
    except FormatError:
        return True
    return False


if __name__ == "__main__":
    main()
