"""One transaction of a blocking store; what the database's driver raises becomes `StateError` here."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.tables import budgets, organizations

__all__ = ["ConflictError", "MissingError", "TakenError", "require_named", "transaction"]


class TakenError(StateError):
    """Another row has this id or alias; `subject` is the field."""


class MissingError(StateError):
    """A row would refer to one that does not exist; `subject` is the field."""


class ConflictError(StateError):
    """What is wanted contradicts what is there; `subject` is the field."""


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


def require_named(
    connection: sa.Connection, *, budget_id: str | None = None, organization_id: str | None = None
) -> None:
    """Raise `MissingError` unless both exist, as far as they are given.

    To be asked after the write that refers to them, in its transaction: from then on nobody can take them away before
    it is committed.
    """
    for table, identity, field in (
        (budgets, budget_id, "budget_id"),
        (organizations, organization_id, "organization_id"),
    ):
        if identity is None:
            continue
        query = sa.select(table.c.id).where(table.c.id == identity).with_for_update(read=True)
        if connection.execute(query).first() is None:
            what = field.removesuffix("_id")
            raise MissingError(f"`{field}`: there is no {what} `{identity[:128]}`", subject=field)
