"""The agents of the examples, with actors for models: they look at a text that is short."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from actor import Actor
from agents import make_graph

TEXT = "The mill grinds slowly. The stream drives the mill. Rain feeds the stream."

agents = make_graph(TEXT, lambda part, slowness: Actor(part=part))
