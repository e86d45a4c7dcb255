"""From messages to the spec's physical inputs, and from actions to command messages, by its field map."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdp_core.exceptions import InputError, SpecError
from kdp_planner_ros.field_map import FieldReader, FieldWriter


@dataclass(frozen=True)
class TopicInputs:
    """The inputs that one topic carries: `readers` maps input name -> reader.

    `framed`: the inputs are of a frame (joint positions are not), so the message's must be the right one.
    """

    topic: str
    message_class: type
    readers: dict[str, FieldReader]
    framed: bool = True

    def read(self, msg: Any, frame: str) -> dict[str, np.ndarray]:
        """Values of one message; raises InputError that names topic and field if one is not usable."""
        if self.framed and hasattr(msg, "header") and msg.header.frame_id != frame:
            raise InputError(f"{self.topic}: frame '{msg.header.frame_id}', expected '{frame}'")
        values = {}
        for name, reader in self.readers.items():
            value = reader.read(msg)
            if not np.isfinite(value).all():
                raise InputError(f"{self.topic}: field '{reader.path}' ({name}) is not finite")
            values[name] = value
        return values


def _ros(channel: Any, role: str) -> Any:
    if channel.ros is None:
        raise SpecError(f"{role} '{channel.name}': no ROS topic, type and field in the spec")
    return channel.ros


def topics_of(channels: Iterable) -> list[TopicInputs]:
    """Group the spec's inputs by topic, in the spec's order; the first topic starts a cycle."""
    topics: dict[str, TopicInputs] = {}
    channels = list(channels)
    framed = {_ros(channel, "input").topic for channel in channels if channel.frame is not None}
    for channel in channels:
        ros = _ros(channel, "input")
        reader = FieldReader(ros.type, ros.field)
        if reader.is_list != channel.rows:
            raise SpecError(
                f"input '{channel.name}': rows is {channel.rows}, but '{ros.field}' is the opposite"
            )
        if reader.width not in (None, channel.size):
            raise SpecError(
                f"input '{channel.name}': size {channel.size}, but '{ros.field}' has {reader.width}"
            )
        if ros.topic not in topics:
            topics[ros.topic] = TopicInputs(ros.topic, reader.message_class, {}, ros.topic in framed)
        group = topics[ros.topic]
        if group.message_class is not reader.message_class:
            raise SpecError(
                f"topic '{ros.topic}': two message types, {group.message_class.__name__} and {ros.type}"
            )
        group.readers[channel.name] = reader
    return list(topics.values())


def goal_topic(topics: list[TopicInputs], spec_name: str) -> TopicInputs:
    """The topic that carries the goal. Raises SpecError unless it is one of its own, after the state's."""
    for topic in topics[1:]:
        if list(topic.readers) == ["goal"] and topic.readers["goal"].width == 3:
            return topic
    raise SpecError(
        f"spec '{spec_name}': expected the state first, and an input 'goal' (3 numbers) on its own topic"
    )


class CommandWriter:
    """Puts the action vector (d_a,) into one command message by the action channels' field paths."""

    def __init__(self, channels: Iterable) -> None:
        topics = {_ros(channel, "action").topic for channel in channels}
        types = {channel.ros.type for channel in channels}
        if len(topics) != 1 or len(types) != 1:
            raise SpecError(f"actions go to {sorted(topics)} as {sorted(types)}, expected one topic and type")
        self.topic = topics.pop()
        self._writers = []
        start = 0
        for channel in channels:
            writer = FieldWriter(channel.ros.type, channel.ros.field)
            if writer.width not in (None, channel.size):
                raise SpecError(
                    f"action '{channel.name}': size {channel.size}, '{channel.ros.field}' has {writer.width}"
                )
            self._writers.append((writer, slice(start, start + channel.size)))
            start += channel.size
        self.size = start
        self.message_class = self._writers[0][0].message_class

    def message(self, action: np.ndarray, stamp: Any, frame: str) -> Any:
        """A command that carries `action` (d_a,), stamped with the state it answers."""
        if not np.isfinite(action).all():
            raise InputError("action is not finite")
        msg = self.message_class()
        msg.header.stamp = stamp
        msg.header.frame_id = frame
        for writer, part in self._writers:
            writer.write(msg, action[part])
        return msg
