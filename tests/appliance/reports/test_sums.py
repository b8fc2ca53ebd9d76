"""Whatever calls there are: a report by any grouping adds up to the ledger, which is what was charged (H11)."""

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.appliance.reports.rows import FIRST_DAY, GROUPINGS, Called, expected, post, summed

from routeiq_appliance.state.reconcile import EVERY_KEY, compare, compare_all
from routeiq_appliance.state.reports import Wanted, report_rows, report_total, snapshot
from routeiq_appliance.state.tables import calls, spend

_NAMES = st.sampled_from(["a", "b/model:x", "C ü", "%_"])
_CALLS = st.lists(
    st.builds(
        Called,
        key=st.sampled_from(["k1", "k2", "master"]),
        team=st.none() | _NAMES,
        user=st.none() | _NAMES,
        organization=st.sampled_from([None, "o"]),
        model=st.none() | st.sampled_from(["small", "large"]),
        # Both sides of midnight, UTC.
        second=st.sampled_from([0, 86_399, 86_400, 200_000]),
        cost=st.none() | st.integers(0, 10**17),
        tokens=st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
        estimated=st.booleans(),
        status=st.sampled_from([200, 399, 400, 503]),
    ),
    max_size=40,
)
_ALL = Wanted()


@given(found=_CALLS, page=st.integers(1, 7))
@settings(
    max_examples=15,
    deadline=None,
    # To shrink a failure means hundreds of transactions.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_grouping_adds_up_to_the_ledger(engine: sa.Engine, found: list[Called], page: int) -> None:
    with engine.begin() as connection:
        connection.execute(calls.delete())
        connection.execute(spend.delete())
    post(engine, found)
    with snapshot(engine) as connection:
        for groups in GROUPINGS:
            pages = list(report_rows(connection, groups, _ALL, page=page))
            assert all(len(rows) <= page for rows in pages)
            rows = {row.names: row.sums for rows in pages for row in rows}
            assert rows == (expected(found, groups) if groups else {(): summed(found)})
        assert report_total(connection, _ALL) == summed(found)
        every = compare(connection, _ALL, uncharged="master")
        assert (every.scope, every.ledger, every.reconciled) == (EVERY_KEY, summed(found).priced_spend, True)
        assert every.uncharged == sum(call.cost or 0 for call in found if call.key == "master")
        for wanted in [Wanted(key_id="k1"), Wanted(team_id="%_", model="small"), Wanted(user_id="b/model:x")]:
            one = compare(connection, wanted, uncharged="master")
            # A team's name in a call of the master key cannot be, in these rows it can.
            assert one.spend == one.ledger - one.uncharged
        assert all(item.reconciled for item in compare_all(connection, uncharged="master"))


def test_sums_beyond_64_bits_are_exact(engine: sa.Engine) -> None:
    cost = 2**62 + 12_345
    post(engine, [Called(key=f"k{number}", cost=cost) for number in range(5)])
    with snapshot(engine) as connection:
        assert report_total(connection, _ALL).priced_spend == 5 * cost
        assert compare(connection, _ALL, uncharged="master").ledger == 5 * cost


def test_filters_narrow_a_report_and_a_time_is_to_the_second(engine: sa.Engine) -> None:
    found = [Called(key="k1", second=0, cost=1), Called(key="k2", second=86_399, cost=2, team="t"),
             Called(key="k2", second=86_400, cost=4, model="large", user="u")]  # fmt: skip
    post(engine, found)

    def spent(wanted: Wanted) -> int | None:
        with snapshot(engine) as connection:
            return report_total(connection, wanted).spend

    assert spent(Wanted(key_id="k2")) == 6
    assert spent(Wanted(team_id="t")) == 2
    assert spent(Wanted(user_id="u", model="large")) == 4
    assert spent(Wanted(organization_id="o")) == 0
    assert spent(Wanted(end=found[2].started)) == 3
    assert spent(Wanted(start=found[1].started, end=found[2].started)) == 2
    assert spent(Wanted(start=FIRST_DAY)) == 7


def test_calls_without_a_price_are_counted_apart_and_never_as_zero(engine: sa.Engine) -> None:
    post(engine, [Called(model="free", cost=0), Called(model="own", cost=None), Called(model="both", cost=None),
                  Called(model="both", cost=5)])  # fmt: skip
    with snapshot(engine) as connection:
        (rows,) = report_rows(connection, ["model"], _ALL)
    assert [(row.names[0], row.sums.unpriced_requests, row.sums.spend) for row in rows] == [
        ("both", 1, 5), ("free", 0, 0), ("own", 1, None),
    ]  # fmt: skip


def test_a_row_that_was_deleted_or_an_amount_that_was_changed_is_found(engine: sa.Engine) -> None:
    post(engine, [Called(key="k1", team="t", cost=5), Called(key="k2", cost=7)])
    with engine.begin() as connection:
        connection.execute(calls.delete().where(calls.c.key_id == "k1"))
        connection.execute(spend.update().where(spend.c.scope == "key:k2").values(amount=6))
    with snapshot(engine) as connection:
        found = {item.scope: item.difference for item in compare_all(connection, uncharged="master")}
        assert found == {"key:k1": 5, "key:k2": -1, "team:t": 5}
        assert compare(connection, _ALL, uncharged="master").difference == 4
        assert not compare(connection, Wanted(team_id="t"), uncharged="master").reconciled


def test_what_another_gateway_had_spent_is_taken_off(engine: sa.Engine) -> None:
    post(engine, [Called(key="k1", cost=5)])
    with engine.begin() as connection:
        connection.execute(spend.insert(), [{"scope": "key:k0", "period": 3, "amount": 11},
                                            {"scope": "carried:key:k0", "period": 3, "amount": 11}])  # fmt: skip
    with snapshot(engine) as connection:
        every = compare(connection, _ALL, uncharged="master")
        assert (every.spend, every.carried, every.reconciled) == (5, 11, True)
        assert [item.scope for item in compare_all(connection, uncharged="master")] == ["key:k0", "key:k1"]
        assert compare(connection, Wanted(key_id="k0"), uncharged="master").carried == 11


def test_all_reads_of_a_report_see_the_same_rows(engine: sa.Engine) -> None:
    post(engine, [Called(cost=5)])
    with snapshot(engine) as connection:
        assert report_total(connection, _ALL).spend == 5
        post(engine, [Called(cost=7)], first=2)
        assert report_total(connection, _ALL).spend == 5
        assert compare(connection, _ALL, uncharged="master").ledger == 5
    with snapshot(engine) as connection:
        assert report_total(connection, _ALL).spend == 12
