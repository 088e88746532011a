"""Managed values: supersteps left under the recursion limit."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import get_args

import langgraph.managed.base
import langgraph.managed.is_last_step
import pytest

import millstream.managed.base
import millstream.managed.is_last_step
from millstream.managed import IsLastStep, RemainingSteps
from millstream.managed.is_last_step import IsLastStepManager, RemainingStepsManager

BOTH = pytest.mark.parametrize(
    ("base", "steps"),
    [
        pytest.param(millstream.managed.base, millstream.managed.is_last_step, id="millstream"),
        pytest.param(langgraph.managed.base, langgraph.managed.is_last_step, id="langgraph"),
    ],
)


@dataclass
class Position:
    step: int
    stop: int


@BOTH
@pytest.mark.parametrize(("step", "left", "last"), [(1, 2, False), (2, 1, True), (3, 0, False)])
def test_the_last_superstep_is_the_one_before_the_limit(
    base: ModuleType, steps: ModuleType, step: int, left: int, last: bool
) -> None:
    position = Position(step=step, stop=3)

    assert steps.RemainingStepsManager.get(position) == left
    assert steps.IsLastStepManager.get(position) is last


@BOTH
def test_only_managed_classes_are_managed_values(base: ModuleType, steps: ModuleType) -> None:
    values = [steps.IsLastStepManager, base.ManagedValue, steps.IsLastStep, 3, int]

    assert [base.is_managed_value(value) for value in values] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_generic_alias_is_not_a_managed_value() -> None:
    assert not millstream.managed.base.is_managed_value(list[int])


def test_annotations_carry_the_manager() -> None:
    assert get_args(IsLastStep) == (bool, IsLastStepManager)
    assert get_args(RemainingSteps) == (int, RemainingStepsManager)
