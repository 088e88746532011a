"""Reserved strings and the value that stands for no value."""

from __future__ import annotations

import copy
import pickle

import langgraph._internal._constants as theirs
import langgraph.constants
import pytest

import millstream.types
from millstream import constants
from millstream.constants import MISSING
from millstream.warnings import LangGraphDeprecatedSinceV10

STRINGS = {
    name: value
    for name, value in {**vars(theirs), **vars(langgraph.constants)}.items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
}


@pytest.mark.parametrize("name", sorted(STRINGS))
def test_a_reserved_string_is_that_of_the_reference(name: str) -> None:
    assert getattr(constants, name) == STRINGS[name]


def test_reserved_names_are_those_of_the_reference() -> None:
    assert constants.RESERVED == theirs.RESERVED
    assert set(constants.__all__) == set(langgraph.constants.__all__)


def test_missing_is_one_object_everywhere() -> None:
    assert repr(MISSING) == "MISSING"
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING
    assert copy.deepcopy(MISSING) is MISSING


@pytest.mark.parametrize("name", ["Send", "Interrupt"])
def test_types_are_still_found_here_with_a_warning(name: str) -> None:
    with pytest.warns(LangGraphDeprecatedSinceV10) as caught:
        found = getattr(constants, name)

    assert found is getattr(millstream.types, name)
    assert [(str(warning.message), warning.filename) for warning in caught] == [
        (
            f"Importing {name} from langgraph.constants is deprecated. "
            f"Please use 'from langgraph.types import {name}' instead. "
            "Deprecated in LangGraph V1.0 to be removed in V2.0.",
            __file__,
        )
    ]


def test_other_names_are_not_found() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = constants.Nothing
