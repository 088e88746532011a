"""What contains what, in Python and in the database alike."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select

from millstream.server.storage.containment import allowed, allows, contains, holds, is_contained
from millstream.server.storage.postgres_engine import WRITES, Address, make_engine
from millstream.server.storage.tables import Json, SearchedJson

CASES = [
    ({}, {"a": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, True),
    ({"a": 1}, {"a": 2}, False),
    ({"a": 1}, {"a": True}, False),
    ({"a": False}, {"a": 0}, False),
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": None}, {"a": None}, True),
    ({"a": None}, {}, False),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
    ({"a": {"b": 1}}, {"a": [{"b": 1}]}, False),
    ({"a": [1]}, {"a": [2, 1]}, True),
    ({"a": [3]}, {"a": [2, 1]}, False),
    ({"a": []}, {"a": [1]}, True),
    ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, True),
    ({'"; drop': 1}, {'"; drop': 1}, True),
    ({"a": "x' OR 1=1 --"}, {"a": "x"}, False),
    ({"a": "1"}, {"a": 1}, False),
    ({"a": 1}, {"a": "1"}, False),
    ({"a": "x"}, {"a": "x"}, True),
    ({"a": "x"}, {"a": ["x"]}, False),
    ({"a": '["x"]'}, {"a": ["x"]}, False),
    ({"a": 'é\n"\\'}, {"a": 'é\n"\\'}, True),
    ({"a": "x\0y"}, {"a": "x\0z"}, False),
    ({"a": "x\0y"}, {"a": "x\0y"}, True),
    ({"a": 1.5}, {"a": 1.5}, True),
    ({"a": 2**53}, {"a": 2**53 + 1}, False),
    ({"a": 2**63}, {"a": 2**63}, True),
    ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1, "d": 2}}}, True),
    ({"a": {"b": [1]}}, {"a": "b"}, False),
    ({"a": {"b": 1}}, {"a": '{"b": 1}'}, False),
    ({"a": {}}, {"a": {"b": 1}}, True),
    ({"a": {}}, {"a": []}, False),
    ({"": 1}, {"": 1}, True),
    ({"a.b": 1}, {"a": {"b": 1}}, False),
    ({"a.b": 1}, {"a.b": 1}, True),
    ({"a[0]": 1}, {"a": [1]}, False),
    ({"é ü": 1}, {"é ü": 1}, True),
    ({"a\\b": 1}, {"a\\b": 1}, True),
    ({"a": 1, "b": [2]}, {"a": 1, "b": [3, 2]}, True),
    ({"a": 1, "b": [2]}, {"a": 2, "b": [3, 2]}, False),
]


@pytest.mark.parametrize(("wanted", "value", "expected"), CASES)
def test_containment(wanted: dict[str, Any], value: dict[str, Any], expected: bool) -> None:
    engine = create_engine("sqlite://")
    table = Table("t", MetaData(), Column("value", Json))
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.create_function("json_holds", 2, holds, deterministic=True)
        table.create(connection)
        connection.execute(table.insert(), [{"value": value}, {"value": None}])
        found = connection.execute(select(table).where(contains(table.c.value, wanted))).all()

    engine.dispose()
    assert is_contained(wanted, value) is expected
    assert len(found) == (2 if not wanted else int(expected))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, True),
        ({}, True),
        ({"owner": "ada"}, True),
        ({"owner": {"$eq": "ada"}}, True),
        ({"owner": {"$eq": "eve"}}, False),
        ({"readers": {"$contains": "bob"}}, True),
        ({"readers": {"$contains": ["bob", "cy"]}}, True),
        ({"readers": {"$contains": ["bob", "eve"]}}, False),
        ({"owner": "ada", "readers": {"$contains": "eve"}}, False),
        ({"missing": "x"}, False),
    ],
)
def test_filters_of_auth_handlers(filters: Any, expected: bool) -> None:
    assert allows({"owner": "ada", "readers": ["bob", "cy"]}, filters) is expected


def test_an_unknown_operator_lets_nothing_through() -> None:
    with pytest.raises(ValueError, match=r"\$like"):
        allows({"owner": "ada"}, {"owner": {"$like": "a"}})
    with pytest.raises(ValueError, match=r"\$like"):
        allowed(Column("m", Json), {"owner": {"$like": "a"}})


@pytest.mark.parametrize("is_indexed", [False, True])
def test_postgresql_finds_what_is_contained(empty_database: str, is_indexed: bool) -> None:
    engine = make_engine(Address(empty_database), "public", 1)
    table = Table(
        "t", MetaData(), Column("case", Integer), Column("a", SearchedJson), Column("b", Json)
    )
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        table.create(connection)
        if is_indexed:
            # As `storage.postgres_indexes` does, and used however few rows there are.
            connection.exec_driver_sql("CREATE INDEX ON t USING gin (a jsonb_path_ops)")
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = [{"case": n, "a": value, "b": value} for n, (_, value, _) in enumerate(CASES)]
        connection.execute(table.insert(), [*rows, {"case": -1, "a": None, "b": None}])
        found = [
            {
                column: connection.scalar(
                    select(table.c.case).where(table.c.case == n, contains(table.c[column], wanted))
                )
                is not None
                for column in ("a", "b")
            }
            for n, (wanted, _, _) in enumerate(CASES)
        ]
        connection.commit()

    engine.dispose()
    assert found == [dict.fromkeys(("a", "b"), expected) for _, _, expected in CASES]
