"""What the code of a node sees of its task: the config, and answers to its questions."""

from __future__ import annotations

from typing import Any

from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_TASK,
    CONFIG_KEY_TASK_ID,
)
from millstream.drivers import questions
from millstream.drivers.context import TaskContext
from millstream.drivers.reserved_keys import reserved_keys
from millstream.drivers.tracing import task_callbacks


class NodeContext(TaskContext):
    """One task as its code sees it."""

    find_answer = questions.find_answer
    forget_answer = questions.forget_answer
    record_questions = questions.record_questions
    record_together = questions.record_together
    record_answered = questions.record_answered

    def make_config(self) -> dict[str, Any]:
        """Assemble the config that the node and everything below it see."""
        run, task = self.run, self.task
        metadata = self.metadata()
        config = {
            **run.config,
            "metadata": metadata,
            "callbacks": task_callbacks(self, metadata),
            CONF: {
                **run.configurable,
                # The run's own may name a checkpoint of the past, at which a nested graph must not
                # begin.
                CONFIG_KEY_CHECKPOINT_ID: None,
                CONFIG_KEY_CHECKPOINT_NS: task.ns,
                CONFIG_KEY_CHECKPOINT_MAP: self.checkpoint_map(),
                CONFIG_KEY_TASK_ID: task.id,
                CONFIG_KEY_TASK: self,
                CONFIG_KEY_RUNTIME: self.runtime,
                **reserved_keys(self),
            },
        }
        config.pop("run_name", None)  # these name the graph's run, not the node's
        config.pop("run_id", None)
        return config
