"""`Recording`: where and how a run is recorded, as the caller says it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from typing import Union

    RecordTo: TypeAlias = Union[str, "os.PathLike[str]", IO[bytes], "Recording"]
    """What `record=` takes."""

Filter: TypeAlias = Callable[[dict[str, Any]], "dict[str, Any] | None"]
"""Returns a line of the file as it is to be written, or None to leave it out."""

SUFFIX: Final = ".jsonl.gz"
"""What the names of recordings end with by custom: gzip, and JSON in lines."""


class Recording:
    """A recording to be made of one run: `graph.stream(input, record=Recording(path, filter=f))`.

    A path alone does as well. The file is made when the run begins, and must not be there yet.
    """

    def __init__(
        self, target: str | os.PathLike[str] | IO[bytes], *, filter: Filter | None = None
    ) -> None:
        """Say where a run is recorded.

        Args:
            target: The path of the file, or a binary file that is open for writing, which is not
                closed.
            filter: Called with each line of the file, a dict of what JSON has, before it is
                written: it returns the line as it is to be, or None to leave it out. It sees
                everything that reaches the file, the input and the end of the run too, in threads
                of the run.
        """
        if not isinstance(target, (str, os.PathLike)) and not hasattr(target, "write"):
            raise TypeError(
                "record must be a path, a binary file or a Recording, got "
                f"{type(target).__name__} {target!r:.80}"
            )
        self.target: Final = target
        self.filter: Final = filter

    @classmethod
    def of(cls, given: RecordTo) -> Recording:
        """Return what a caller has given as `record`."""
        return given if isinstance(given, Recording) else cls(given)

    @property
    def name(self) -> str:
        """What messages call the file."""
        if isinstance(self.target, (str, os.PathLike)):
            return os.fspath(self.target)
        return str(getattr(self.target, "name", type(self.target).__name__))

    def open(self) -> tuple[IO[bytes], bool]:
        """Return the file, and whether it has to be closed by who has opened it."""
        if not isinstance(self.target, (str, os.PathLike)):
            return self.target, False
        path = Path(self.target)
        try:
            # Buffered by whoever writes: what is written is to be in the file.
            return path.open("xb", buffering=0), True
        except FileExistsError as error:
            raise FileExistsError(
                error.errno,
                "A recording is not written over another file: name a new one, or delete it first",
                str(path),
            ) from None
