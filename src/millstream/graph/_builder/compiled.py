"""The compiled state graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millstream._base.state_classes import class_of, maker_of
from millstream.constants import ROOT, START
from millstream.graph._builder.node_spec import size_of
from millstream.graph._builder.state_channels import other_names
from millstream.pregel.main import Pregel
from millstream.typing import ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from pydantic import BaseModel

    from millstream.graph._builder.attaching import Pieces
    from millstream.graph._builder.branches import BranchSpec
    from millstream.graph._builder.node_spec import NodeDefaults, StateNodeSpec
    from millstream.graph.state import StateGraph


class CompiledStateGraph(Pregel[StateT, ContextT, InputT, OutputT]):
    """A runnable state graph; `StateGraph.compile()` makes it."""

    builder: StateGraph[StateT, ContextT, InputT, OutputT]

    def __init__(
        self,
        *,
        builder: StateGraph[StateT, ContextT, InputT, OutputT],
        schema_to_mapper: dict[type[Any], Callable[[Any], Any] | None] | None = None,
        **kwargs: Any,
    ) -> None:
        from millstream.modes.parts import Shape

        self.aliases = other_names(builder)
        super().__init__(**kwargs)
        self.builder = builder
        self.schema_to_mapper = {} if schema_to_mapper is None else schema_to_mapper
        """Not used here."""
        self._pieces: Pieces | None = None
        self.shape = Shape(
            output=_lenient_maker(builder.output_schema),
            state=_lenient_maker(builder.state_schema),
        )

    def _size(self) -> str:
        return size_of(self.builder)

    def _declared_schemas(self) -> Sequence[Any]:
        return (*super()._declared_schemas(), *self.builder.schemas)

    @classmethod
    def from_builder(
        cls,
        builder: StateGraph[StateT, ContextT, InputT, OutputT],
        *,
        defaults: NodeDefaults,
        default_handler: str,
        **kwargs: Any,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """Turn the builder's nodes and edges into nodes and channels."""
        # Imported with the first graph that is compiled: it knows what nodes are run by.
        from millstream.graph._builder.assembly import Assembly

        assembly = Assembly(builder, defaults)
        assembly.add_start()
        for name, spec in builder.nodes.items():
            assembly.add_node(name, spec)
        handlers: dict[str, str] = {}
        if defaults.error_handler is not None:
            handlers = assembly.add_default_handler(default_handler)
        assembly.add_joins()
        assembly.order_deferred()
        # In the order of the output class, without what is computed from the run and stored
        # nowhere.
        output = [key for key in builder.schemas[builder.output_schema] if key in builder.channels]
        state = list(builder.channels)
        return cls(
            builder=builder,
            nodes=assembly.nodes,
            channels=assembly.channels,
            input_channels=START,
            stream_mode="updates",
            output_channels=ROOT if output == [ROOT] else output,
            stream_channels=ROOT if state == [ROOT] else state,
            context_schema=builder.context_schema,
            node_error_handler_map=handlers,
            **kwargs,
        )

    def attach_node(self, key: str, node: StateNodeSpec | None) -> None:
        """Add a node of the builder, or the virtual one at the start, which has no spec.

        For classes that compile a graph themselves: make one without nodes and
        `auto_validate=False`, attach everything the builder has, and call `validate()`.
        """
        if node is not None:
            self._attached().nodes[key] = node
        self._assemble()

    def attach_edge(self, starts: str | Sequence[str], end: str) -> None:
        """Add an edge; one from several nodes waits for all of them. See `attach_node`."""
        self._attached().add_edge(starts if isinstance(starts, str) else tuple(starts), end)
        self._assemble()

    def attach_branch(
        self, start: str, name: str, branch: BranchSpec, *, with_reader: bool = True
    ) -> None:
        """Add a conditional edge; its path is always given the state. See `attach_node`."""
        self._attached().branches.setdefault(start, {})[name] = branch
        self._assemble()

    def _attached(self) -> Pieces:
        from millstream.graph._builder.attaching import Pieces

        if self._pieces is None:
            self._pieces = Pieces.of(self.builder, is_empty=not self.nodes)
        return self._pieces

    def _assemble(self) -> None:
        from millstream.graph._builder.assembly import Assembly

        assembly = Assembly(self._attached(), self.builder._node_defaults)
        assembly.add_start()
        for name, spec in self._attached().nodes.items():
            assembly.add_node(name, spec)
        assembly.add_joins()
        assembly.order_deferred()
        self.nodes, self.channels = assembly.nodes, assembly.channels
        # Compiled anew when the graph is next used: more may be attached before that.
        self._spec = None

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a pydantic model of the input."""
        from millstream.graph._builder.schema import input_model

        return input_model(self.get_name("Input"), self.builder.input_schema)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a pydantic model of the output."""
        from millstream.graph._builder.schema import output_model

        keys = self.output_channels
        names = (keys,) if isinstance(keys, str) else keys
        channels = {key: self.channels[key] for key in names}
        return output_model(self.get_name("Output"), self.builder.output_schema, channels)

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the JSON schema of the input."""
        return self._json_schema(self.builder.input_schema, "Input")

    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the JSON schema of the output."""
        return self._json_schema(self.builder.output_schema, "Output", by_alias=False)

    def _json_schema(self, schema: Any, suffix: str, *, by_alias: bool = True) -> dict[str, Any]:
        from millstream.graph._builder.schema import json_schema

        channels = self.builder.channels
        return json_schema(self.get_name(suffix), schema, channels, by_alias=by_alias)


def _lenient_maker(schema: Any) -> Callable[[dict[str, Any]], Any] | None:
    """Return what makes an instance from those values that a state class declares.

    None for classes of plain dicts.
    """
    make, cls = maker_of(schema), class_of(schema)
    if make is None or not dataclasses.is_dataclass(cls):
        return make
    # The state may have keys of other classes of the graph, which this one's constructor would
    # refuse.
    declared = frozenset(field.name for field in dataclasses.fields(cls))
    return lambda values: make({key: values[key] for key in values if key in declared})


CompiledStateGraph.__module__ = "millstream.graph.state"
