"""`install_as_langgraph`: one engine under two names, and only one."""

from __future__ import annotations

import pytest

from compat.conftest import Python
from millstream.compat.names import MODULES, OWNED

INSTALL = "import millstream; millstream.install_as_langgraph()\n"


def test_every_module_is_that_of_millstream(python: Python) -> None:
    out = python.check(
        INSTALL
        + f"""
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name, target in {MODULES!r}.items():
    ours = importlib.import_module("millstream." + target)
    assert importlib.import_module("langgraph." + name) is ours, name
    assert ours.__name__ == "millstream." + target == ours.__spec__.name, name
foreign = [n for n, m in sys.modules.items()
           if n.startswith("langgraph.") and n.split(".")[1] in {set(OWNED)!r}
           and not m.__name__.startswith("millstream")]
print(foreign)
"""
    )

    assert out == "[]\n"


@pytest.mark.parametrize("first", ["langgraph", "millstream"])
def test_submodules_are_loaded_once_whichever_name_comes_first(python: Python, first: str) -> None:
    out = python.check(
        INSTALL
        + f"""
import importlib, sys
importlib.import_module("{first}.graph.state")
import langgraph.graph.state, millstream.graph.state
from langgraph.graph import state
print(langgraph.graph.state is millstream.graph.state is state)
print(langgraph.graph is millstream.graph, langgraph.graph.StateGraph is state.StateGraph)
import langgraph.runtime
print(langgraph.runtime.__name__)
"""
    )

    assert out == "True\nTrue True\nmillstream.runtime\n"


def test_private_submodules_can_be_imported_from_their_package(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
from langgraph.pregel import _tools
from langgraph import _internal
from langgraph._internal import _runnable, _constants
import langgraph.pregel._tools, langgraph._internal._typing
print(_tools is langgraph.pregel._tools, _internal._typing is langgraph._internal._typing)
print(_runnable.__name__, _constants.CONF)
"""
    )

    assert out == "True True\nmillstream._base.runnable configurable\n"


def test_other_distributions_keep_their_parts_of_the_namespace(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import langgraph.checkpoint.memory, langgraph.store.memory, langgraph.cache.memory
import langgraph.prebuilt, millstream.prebuilt
from langgraph.prebuilt import ToolNode
from langgraph._internal._runnable import RunnableCallable
print(langgraph.checkpoint.memory.__name__, langgraph.prebuilt.__name__)
print(langgraph.prebuilt is millstream.prebuilt, issubclass(ToolNode, RunnableCallable))
"""
    )

    assert out == "langgraph.checkpoint.memory langgraph.prebuilt\nFalse True\n"


def test_a_call_that_comes_too_late_names_what_is_loaded(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        """
        import langgraph.types
        import millstream
        for _ in range(2):
            try:
                millstream.install_as_langgraph()
            except RuntimeError as error:
                print(error)
        import sys
        from millstream.compat.finder import installed
        print(installed(), langgraph.types.Send.__module__)
        """
    )

    first, second, rest = out.splitlines()
    assert first == second
    assert "came too late: langgraph.types, " in first
    assert "millstream exec" in first
    assert rest == "None langgraph.types"


def test_parts_of_other_distributions_may_be_loaded_before(python: Python) -> None:
    out = python.check(
        """
        import langgraph.checkpoint.memory, langgraph.store.base
        import millstream
        millstream.install_as_langgraph()
        import langgraph.types
        print(langgraph.types.__name__)
        """
    )

    assert out == "millstream.types\n"


def test_the_finder_is_first_and_there_is_one(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        """
        import sys
        import millstream
        from millstream.compat.finder import LangGraphFinder, installed
        millstream.install_as_langgraph()
        first = installed()
        class Other:
            @staticmethod
            def find_spec(name, path=None, target=None):
                return None
        sys.meta_path.insert(0, Other)
        millstream.install_as_langgraph()
        print(sys.meta_path[0] is first, sys.meta_path[1] is Other)
        print([type(f) for f in sys.meta_path].count(LangGraphFinder))
        import langgraph.graph
        millstream.install_as_langgraph()
        print(langgraph.graph.__name__)
        """
    )

    assert out == "True True\n1\nmillstream.graph\n"


def test_threads_may_install_and_import_at_the_same_time(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        """
        import importlib, sys, threading
        import millstream
        from millstream.compat.finder import LangGraphFinder
        start = threading.Barrier(32)
        names = ["graph.state", "pregel", "types", "runtime", "func", "channels.topic", "stream"]
        # Threads that load a package and its submodules first may deadlock, in any package.
        for name in names:
            importlib.import_module("millstream." + name)
        found, errors = [], []
        def work(number):
            try:
                start.wait()
                millstream.install_as_langgraph()
                name = names[number % len(names)]
                module = importlib.import_module("langgraph." + name)
                found.append(module is sys.modules["millstream." + name])
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(errors, all(found), len(found))
        print([type(f) for f in sys.meta_path].count(LangGraphFinder))
        """
    )

    assert out == "[] True 32\n1\n"


def test_reloading_an_alias_reloads_the_module_under_its_own_name(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import importlib
import langgraph.managed.is_last_step as alias
before = alias.RemainingStepsManager
again = importlib.reload(alias)
import millstream.managed.is_last_step as ours
print(again is alias is ours, again.__name__, again.RemainingStepsManager is before)
print(again.RemainingStepsManager.__module__)
"""
    )

    assert out == ("True millstream.managed.is_last_step False\nmillstream.managed.is_last_step\n")


def test_classes_keep_the_names_of_langgraph_when_they_are_made_again(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import importlib, inspect, pickle
from langgraph import types
from langgraph._internal import _runnable
for module, name in ((types, "Overwrite"), (_runnable, "RunnableCallable")):
    for _ in range(2):
        before, loader = getattr(module, name), type(module.__loader__)
        again = importlib.reload(module)
        after = getattr(again, name)
        print(again is module, after is before, after.__module__)
        assert type(again.__loader__) is type(again.__spec__.loader) is loader
        assert f"class {name}" in inspect.getsource(again)
data = pickle.dumps(types.Send("a", 1))
print(b"langgraph" in data, pickle.loads(data))
"""
    )

    *lines, last = out.splitlines()
    assert lines[:2] == ["True False langgraph.types"] * 2
    assert lines[2:] == ["True False langgraph._internal._runnable"] * 2
    assert last == "False Send(node='a', arg=1)"


def test_patching_by_the_name_in_langgraph_patches_the_engine(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
from unittest import mock
from millstream.pregel.main import Pregel
with mock.patch("langgraph.pregel.main.Pregel.invoke", lambda self: "patched"):
    print(Pregel.invoke(None))
"""
    )

    assert out == "patched\n"


def test_metadata_answers_for_langgraph_once(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import importlib.metadata as metadata
from langgraph.version import __version__
print(metadata.version("langgraph"), __version__)
names = [d.metadata["Name"] for d in metadata.distributions()]
print(names.count("langgraph"), names.count("langgraph-checkpoint"))
print([d for d in metadata.distributions(path=["nowhere"])])
print(metadata.metadata("langgraph")["Version"], metadata.distribution("langgraph").version)
"""
    )

    assert out == "1.2.24 1.2.24\n1 1\n[]\n1.2.24 1.2.24\n"


def test_find_spec_tells_what_there_is(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
from importlib.util import find_spec
print(find_spec("langgraph") is not None, find_spec("langgraph.graph").name)
try:
    find_spec("langgraph.pregel.loop")
except ModuleNotFoundError as error:
    print(error.name)
"""
    )

    assert out == "True langgraph.graph\nlanggraph.pregel.loop\n"


def test_the_directories_of_the_namespace_do_not_list_aliases(without_langgraph: Python) -> None:
    """What walks over files, as type checkers do, does not see what an import finds."""
    out = without_langgraph.check(
        INSTALL
        + """
import pkgutil
import langgraph, langgraph.graph
print(sorted(m.name for m in pkgutil.iter_modules(langgraph.__path__)))
"""
    )

    assert out == "['prebuilt']\n"


UNKNOWN = {
    "import langgraph.pregel._loop": "langgraph.pregel._loop",
    "import langgraph.pregel.algo": "langgraph.pregel.algo",
    "from langgraph.pregel._loop import PregelLoop": "langgraph.pregel._loop",
    "from langgraph.pregel import _loop": "_loop",
    "from langgraph._internal import _retry": "_retry",
    "from langgraph._internal._runnable import RunnableSeq": "RunnableSeq",
    "from langgraph.pregel._algo import apply_writes": "apply_writes",
    "from langgraph.types import Nothing": "Nothing",
}


def test_what_is_not_there_is_named_and_so_is_millstream(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        INSTALL
        + f"""
for statement in {list(UNKNOWN)!r}:
    try:
        exec(statement)
    except ImportError as error:
        print(error)
"""
    )

    said = out.splitlines()
    assert len(said) == len(UNKNOWN)
    for missing, message in zip(UNKNOWN.values(), said, strict=True):
        assert missing in message
        assert "millstream" in message


def test_installing_loads_nothing_but_the_finder(own_environment: Python) -> None:
    out = own_environment.check(
        """
        import sys
        before = set(sys.modules)
        import millstream
        millstream.install_as_langgraph()
        loaded = {n for n in set(sys.modules) - before if n.split(".")[0] == "millstream"}
        print(sorted(loaded), "typing" in sys.modules, "threading" in sys.modules)
        """
    )

    names = ["", ".compat", ".compat.finder", ".compat.names", ".version"]
    assert out == f"{[f'millstream{name}' for name in names]} False False\n"


def test_the_logger_of_langgraph_has_what_the_engine_logs(python: Python) -> None:
    printed = python.check(
        """
        import logging, sys
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        logging.getLogger("langgraph").setLevel(logging.INFO)

        import millstream
        millstream.install_as_langgraph()
        from langgraph.graph import StateGraph
        from langgraph.types import RetryPolicy

        errors = [ConnectionError("gone")]
        def node(state):
            if errors:
                raise errors.pop().with_traceback(None)

        policy = RetryPolicy(initial_interval=0, jitter=False)
        builder = StateGraph(dict).add_node(node, retry_policy=policy)
        builder.set_entry_point("node").compile().invoke({})
        """
    )

    expected = "Retrying task node after 0.00 seconds (attempt 1) after ConnectionError gone"
    assert printed.splitlines()[0] == expected


def test_the_prebuilt_parts_are_our_own_where_nobody_has_installed_others() -> None:
    from millstream.compat.finder import LangGraphFinder

    spec = LangGraphFinder().find_spec("langgraph.prebuilt", [])

    assert spec is not None
    assert spec.origin == "millstream.prebuilt"
