"""`millstream hook`: have worker processes run on millstream too."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

from millstream.cli.failures import DONE, UsageError
from millstream.cli.output import Output
from millstream.compat.hook import VARIABLE, add_hook, hook_path, remove_hook


class Action(str, Enum):
    """What to do with the hook."""

    INSTALL = "install"
    REMOVE = "remove"
    SHOW = "show"


def hook(
    action: Annotated[Action, typer.Argument(help="What to do with it.")] = Action.SHOW,
) -> int:
    """Install the file that makes every Python of this environment obey MILLSTREAM_AS_LANGGRAPH.

    With the variable set to 1, `langgraph` is millstream in each process from its start.
    `millstream exec` sets it for the processes that its program starts.
    """
    path = hook_path()
    try:
        if action is Action.INSTALL:
            add_hook()
            text = f"{path} installed; set {VARIABLE}=1 to use it"
        elif action is Action.REMOVE:
            text = f"{path} removed" if remove_hook() else f"there was no {path}"
        else:
            text = f"{path} is {'' if path.exists() else 'not '}installed"
    except OSError as error:
        raise UsageError(f"cannot change {path}: {error.strerror}") from error
    Output(sys.stdout).write(f"{text}\n")
    return DONE
