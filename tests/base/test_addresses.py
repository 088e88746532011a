"""Addresses of databases are shown without passwords."""

from __future__ import annotations

import pytest

from millstream._base.addresses import shown

ADDRESSES = [
    "postgresql://me:{}@host/database",
    "postgresql://me:{}@host:5432,two:5433/database?sslmode=require",
    "postgres://me:{}@/database?host=/run/postgresql",
    "postgresql:/me:{}@host/database",
    "postgresql:me:{}@host/database",
    "postgresql://host/database?user=me&password={}&sslmode=require",
    "postgresql://me@host/database?sslkey=key.pem&sslpassword={}",
    "host=host password={} dbname=database",
    "host=host password = {} dbname=database",
    "host=host PASSWORD={}",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("password", ["hush", "hush%40hush", "hush:hush"])
def test_an_address_is_shown_without_its_password(address: str, password: str) -> None:
    text = shown(address.format(password))
    assert "hush" not in text
    assert text.count("...") == 1
    assert "host" in text


@pytest.mark.parametrize("password", ["hu@sh", "hu/sh@hush", "hu?sh@sh"])
def test_a_password_that_is_no_part_of_a_url_is_not_shown_either(password: str) -> None:
    assert "sh" not in shown(ADDRESSES[0].format(password)).replace("shown", "")


def test_a_password_in_quotes_is_not_shown() -> None:
    assert shown(r"user=me password='a hush\' hush' host=h") == "user=me password=... host=h"


@pytest.mark.parametrize("address", ["threads.db", "postgresql://me@host/db", "host=h user=me"])
def test_what_has_no_password_is_shown_as_it_is(address: str) -> None:
    assert shown(address) == address
