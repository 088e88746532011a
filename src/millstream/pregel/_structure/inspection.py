"""Looking at a compiled graph: drawings, subgraphs, schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from millstream.constants import NS_SEP
from millstream.pregel._structure.declared import split_channels
from millstream.pregel._structure.definition import GraphDefinition
from millstream.pregel.protocol import PregelProtocol
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT
from millstream.warnings import LangGraphDeprecatedSinceV10, warn_caller

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from pydantic import BaseModel

    from millstream.pictures import DrawableGraph


class InspectableGraph(GraphDefinition[StateT, ContextT, InputT, OutputT]):
    """What a compiled graph can say about itself; `Pregel` adds how it runs."""

    def get_graph(
        self, config: ConfigLike | None = None, *, xray: int | bool = False
    ) -> DrawableGraph:
        """Return the graph as it is drawn: `draw_svg()` and its relatives make pictures of it.

        Args:
            config: Passed on to nested graphs.
            xray: Open nested graphs, all of them or down to a depth.

        Example:
            >>> print(graph.get_graph().draw_ascii())
        """
        from millstream.pregel._structure.drawing import draw_graph

        return draw_graph(self, xray=xray, config=config)

    async def aget_graph(
        self, config: ConfigLike | None = None, *, xray: int | bool = False
    ) -> DrawableGraph:
        """Return a drawable picture of the graph; see `get_graph`."""
        return self.get_graph(config, xray=xray)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Show the graph in a notebook, as a picture."""
        return self.get_graph().bundle(repr(self), title=self.get_name())

    def get_subgraphs(
        self, *, namespace: str | None = None, recurse: bool = False
    ) -> Iterator[tuple[str, PregelProtocol[Any, Any, Any, Any]]]:
        """Yield the name and graph of each node that runs one, nested ones as `outer|inner`."""
        for name, node in self.nodes.items():
            head, _, rest = (namespace or name).partition(NS_SEP)
            if head != name:
                continue
            for graph in node.subgraphs[:1]:
                if not rest:
                    yield name, graph
                if recurse and isinstance(graph, InspectableGraph) and namespace != name:
                    for path, nested in graph.get_subgraphs(namespace=rest or None, recurse=True):
                        yield f"{name}{NS_SEP}{path}", nested

    async def aget_subgraphs(
        self, *, namespace: str | None = None, recurse: bool = False
    ) -> AsyncIterator[tuple[str, PregelProtocol[Any, Any, Any, Any]]]:
        """Yield the graphs that nodes run; see `get_subgraphs`."""
        for item in self.get_subgraphs(namespace=namespace, recurse=recurse):
            yield item

    @property
    def InputType(self) -> Any:
        """The type of the input: one channel's updates."""
        channels = self.input_channels
        return self.channels[channels].UpdateType if isinstance(channels, str) else dict[str, Any]

    @property
    def OutputType(self) -> Any:
        """The type of the output: one channel's value."""
        channels = self.output_channels
        return self.channels[channels].ValueType if isinstance(channels, str) else dict[str, Any]

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a pydantic model of the input."""
        from millstream.pregel._structure.schema import channels_model

        types = {name: channel.UpdateType for name, channel in self._real_channels().items()}
        model = channels_model(self.get_name("Input"), self.input_channels, types)
        return cast("type[BaseModel]", model)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a pydantic model of the output."""
        from millstream.pregel._structure.schema import channels_model

        types = {name: channel.ValueType for name, channel in self._real_channels().items()}
        model = channels_model(self.get_name("Output"), self.output_channels, types)
        return cast("type[BaseModel]", model)

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the JSON schema of the input."""
        return self.get_input_schema(config).model_json_schema()

    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the JSON schema of the output."""
        return self.get_output_schema(config).model_json_schema()

    def get_context_jsonschema(self) -> dict[str, Any] | None:
        """Return the JSON schema of the run context, None for a graph without one."""
        from millstream.pregel._structure.schema import context_json_schema

        return context_json_schema(self.context_schema)

    def config_schema(self, *, include: Sequence[str] | None = None) -> type[BaseModel]:
        """Return a pydantic model of the run config. Deprecated: see `get_context_jsonschema`."""
        warn_caller(
            "`config_schema` is deprecated. "
            "Use `get_context_jsonschema` for the relevant schema instead.",
            LangGraphDeprecatedSinceV10,
        )
        return self._config_model(include)

    def get_config_jsonschema(self, *, include: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the JSON schema of the run config. Deprecated: see `get_context_jsonschema`."""
        warn_caller(
            "`get_config_jsonschema` is deprecated. Use `get_context_jsonschema` instead.",
            LangGraphDeprecatedSinceV10,
        )
        return self._config_model(include).model_json_schema()

    def _config_model(self, include: Sequence[str] | None) -> type[BaseModel]:
        from millstream.pregel._structure.schema import config_model

        return config_model(self.get_name("Config"), self.context_schema, include)

    def _real_channels(self) -> dict[str, Any]:
        return dict(split_channels(self.channels)[0])
