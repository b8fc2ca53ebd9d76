"""Ways to spoil a file at random, all of them chosen by one seeded generator: the same seed, the same file.

Each mutation returns bytes; `mutated` tries again until they differ from the original's. Half of the places are chosen
among the parts that mean something (headers, documents, padding, the end), where a uniform choice would seldom land.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from routeiq_signing.tar_format import BLOCK

__all__ = ["MUTATIONS", "Member", "members_of", "mutated"]


class Member(NamedTuple):
    """A member of a tar: where its header is, and how long its content."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """Return where the next header is."""
        return self.offset + BLOCK + self.size + -self.size % BLOCK


# name → (offset, length) in a ustar header
FIELDS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "checksum": (148, 8), "type": (156, 1), "link": (157, 100), "magic": (257, 8), "owner": (265, 32),
    "group": (297, 32), "major": (329, 8), "minor": (337, 8), "prefix": (345, 155), "rest": (500, 12),
}  # fmt: skip
_VALUES = (
    *(b"", b"\0", b"/", b"../x", b"0000644\0", b"00000000001\0", b"77777777777\0"),
    *(b"\x80\0\0\0\0\0\0\1", b"1", b"2", b"5", b"x"),
)


def members_of(tar: bytes) -> list[Member]:
    """Return the members of a good tar."""
    found, at = [], 0
    while tar[at : at + BLOCK] != bytes(BLOCK):
        member = Member(at, int(tar[at + 124 : at + 135], 8))
        found.append(member)
        at = member.end
    return found


def mutated(tar: bytes, members: list[Member], seed: int) -> tuple[str, bytes]:
    """Return which mutation `seed` chose and what it made of `tar`, never `tar` itself."""
    random = Random(seed)
    while True:
        name = random.choice(sorted(MUTATIONS))
        made = MUTATIONS[name](tar, members, random)
        if made != tar:
            return name, made


def _place(tar: bytes, members: list[Member], random: Random) -> int:
    member = random.choice(members)
    return random.choice(
        (
            random.randrange(len(tar)),
            random.randrange(len(tar)),
            member.offset + random.randrange(BLOCK),
            member.offset + BLOCK + random.randrange(max(1, member.size)),
            max(member.offset, member.end - 1 - random.randrange(64)),
            len(tar) - 1 - random.randrange(2 * BLOCK),
        )
    )


def _junk(random: Random, length: int) -> bytes:
    return random.choice((random.randbytes(length), bytes(length), b" " * length, b"0" * length))


def _flip(tar: bytes, members: list[Member], random: Random) -> bytes:
    at = _place(tar, members, random)
    return tar[:at] + bytes([tar[at] ^ random.randint(1, 255)]) + tar[at + 1 :]


def _truncate(tar: bytes, members: list[Member], random: Random) -> bytes:
    return tar[: random.choice((random.randrange(len(tar)), random.choice(members).offset, len(tar) - BLOCK))]


def _insert(tar: bytes, members: list[Member], random: Random) -> bytes:
    at = random.choice((_place(tar, members, random), random.choice(members).offset))
    return tar[:at] + _junk(random, random.choice((1, 2, 7, BLOCK, 2 * BLOCK, 10240))) + tar[at:]


def _delete(tar: bytes, members: list[Member], random: Random) -> bytes:
    at = random.choice((_place(tar, members, random), random.choice(members).offset))
    return tar[:at] + tar[at + random.choice((1, 2, 7, BLOCK, 10240)) :]


def _overwrite(tar: bytes, members: list[Member], random: Random) -> bytes:
    at, length = _place(tar, members, random), random.choice((1, 4, 64, BLOCK))
    return (tar[:at] + _junk(random, length) + tar[at + length :])[: len(tar)]


def _append(tar: bytes, members: list[Member], random: Random) -> bytes:
    return tar + random.choice((_junk(random, random.choice((1, BLOCK, 10240))), tar))


def _swap_ranges(tar: bytes, members: list[Member], random: Random) -> bytes:
    length = random.choice((1, 16, BLOCK))
    one, two = sorted(random.sample(range(0, len(tar) - length, length), 2))
    return (
        tar[:one]
        + tar[two : two + length]
        + tar[one + length : two]
        + tar[one : one + length]
        + tar[two + length :]
    )


def _swap_members(tar: bytes, members: list[Member], random: Random) -> bytes:
    one, two = sorted(random.sample(members, 2))
    a, b = tar[one.offset : one.end], tar[two.offset : two.end]
    return tar[: one.offset] + b + tar[one.end : two.offset] + a + tar[two.end :]


def _swap_contents(tar: bytes, members: list[Member], random: Random) -> bytes:
    """The content of one member under the header of another, with the size put right."""
    one, two = random.sample(members, 2)
    head = _sealed(tar[one.offset : one.offset + BLOCK], "size", b"%011o\0" % two.size)
    return tar[: one.offset] + head + tar[two.offset + BLOCK : two.end] + tar[one.end :]


def _repeat_member(tar: bytes, members: list[Member], random: Random) -> bytes:
    copied, before = random.choice(members), random.choice(members)
    return tar[: before.offset] + tar[copied.offset : copied.end] + tar[before.offset :]


def _drop_member(tar: bytes, members: list[Member], random: Random) -> bytes:
    member = random.choice(members)
    return tar[: member.offset] + tar[member.end :]


def _edit_header(tar: bytes, members: list[Member], random: Random) -> bytes:
    """One field of one header says something else, under a checksum that is right."""
    member = random.choice(members)
    block = tar[member.offset : member.offset + BLOCK]
    value = random.choice((*_VALUES, random.randbytes(random.randint(1, 12))))
    edited = _sealed(block, random.choice(sorted(FIELDS)), value)
    return tar[: member.offset] + edited + tar[member.offset + BLOCK :]


def _sealed(block: bytes, field: str, value: bytes) -> bytes:
    offset, length = FIELDS[field]
    changed = bytearray(block)
    changed[offset : offset + length] = value[:length].ljust(length, b"\0")
    if field != "checksum":
        changed[148:156] = b" " * 8
        changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


MUTATIONS: dict[str, Callable[[bytes, list[Member], Random], bytes]] = {
    "append": _append,
    "delete": _delete,
    "drop a member": _drop_member,
    "edit a header": _edit_header,
    "flip a byte": _flip,
    "insert": _insert,
    "overwrite": _overwrite,
    "repeat a member": _repeat_member,
    "swap contents": _swap_contents,
    "swap members": _swap_members,
    "swap ranges": _swap_ranges,
    "truncate": _truncate,
}
