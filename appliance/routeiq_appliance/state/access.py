"""One transaction of a blocking store; what the database's driver raises becomes `StateError` here."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from routeiq_appliance.errors import StateError

__all__ = ["TakenError", "transaction"]


class TakenError(StateError):
    """Another row has this id or alias; `subject` is the field."""


@contextmanager
def transaction(engine: sa.Engine, *, taken: tuple[str, str] = ("id", "")) -> Iterator[sa.Connection]:
    """Yield a connection whose work is committed at the end.

    `taken` is the field, and the value, that must be unique. Raises `StateError`, and `TakenError` for a conflict.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except sa.exc.IntegrityError:
        name, value = taken
        raise TakenError(f"{name}: {value!r} is taken", subject=name) from None
    except sa.exc.SQLAlchemyError:
        raise StateError("the key store does not answer") from None
