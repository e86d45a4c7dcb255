"""Read and write message fields by the spec's field paths, compiled once, cheap per message.

Syntax of a path: dots are attributes; ``name[]`` maps over a list (once per path); ``name[key]`` is the
element that ``msg.name`` labels so (as in JointState), ``name[a,b]`` several of them in this order; a final
``[a,b,c]`` stacks sub-fields in this order.

    pose.pose.position.[x,y,z]                 -> (3,)
    cylinders[].[center.x,center.y,radius]     -> (N, 3)
    position[shoulder_pan]                     -> (1,)
    position[shoulder_pan,gripper]             -> (2,)
"""

import array
import importlib
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from kdp_core.exceptions import InputError, SpecError

_NUMBERS = {"double", "float", "boolean", "octet"} | {
    f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)
}
_SEGMENT = re.compile(r"^(?P<name>[A-Za-z]\w*)(?:\[(?P<key>[^\[\]]*)\])?$")
_SEQUENCE = re.compile(
    r"^(?:sequence<(?P<element>[^,>]+)(?:,\s*\d+)?>|(?P<fixed>[^\[]+)\[(?P<length>\d+)\])$"
)


def message_class(type_name: str) -> type:
    """Import a message class by its name, as ``nav_msgs/msg/Odometry``. Raises SpecError if unknown."""
    parts = type_name.split("/")
    if len(parts) == 2:
        parts.insert(1, "msg")
    if len(parts) != 3 or parts[1] != "msg":
        raise SpecError(f"message type '{type_name}': expected 'package/msg/Type'")
    try:
        return getattr(importlib.import_module(f"{parts[0]}.msg"), parts[2])
    except (ImportError, AttributeError):
        raise SpecError(f"message type '{type_name}': not found; is its package built and sourced?") from None


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside brackets."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


class _Resolver:
    """Walks one path over the declared fields of a message class; every error names path and message type."""

    def __init__(self, type_name: str, path: str) -> None:
        self.type_name, self.path = type_name, path

    def error(self, why: str) -> SpecError:
        return SpecError(f"field '{self.path}' of {self.type_name}: {why}")

    def field_type(self, owner: type, name: str) -> str:
        fields = owner.get_fields_and_field_types()
        if name not in fields:
            raise self.error(f"no field '{name}' in {owner.__name__}; it has {', '.join(fields)}")
        return fields[name]

    def attributes(self, owner: type, names: list[str]) -> str:
        """Declared type of a dotted attribute."""
        declared = ""
        for i, name in enumerate(names):
            declared = self.field_type(owner, name)
            if i + 1 < len(names):
                if declared in _NUMBERS or _SEQUENCE.match(declared) or "/" not in declared:
                    raise self.error(f"'{name}' is {declared} and has no fields")
                owner = message_class(declared)
        return declared

    def element(self, declared: str, name: str) -> tuple[str, int | None]:
        """Element type and fixed length (None if variable) of a list field."""
        found = _SEQUENCE.match(declared)
        if not found:
            raise self.error(f"'{name}' is {declared}, not a list")
        length = found["length"]
        return found["element"] or found["fixed"], int(length) if length else None


def _keyed(get_list: Callable, keys: list[str], label: str) -> Callable[[Any], list[float]]:
    """Read the elements that ``msg.name`` labels with `keys`; remembers where they were last time."""
    known: list[str] = []
    places: list[int] = []

    def read(msg: Any) -> list[float]:
        nonlocal known, places
        if msg.name != known:
            names = list(msg.name)
            for key in keys:
                if key not in names:
                    raise InputError(f"{label}: no element named '{key}' in the message")
            known, places = names, [names.index(key) for key in keys]
        values = get_list(msg)
        if len(values) < len(known):
            raise InputError(f"{label}: fewer values than names")
        return [values[place] for place in places]

    return read


def _leaf(resolver: _Resolver, owner: type, path: str) -> tuple[Callable, int]:
    """Getter of one sub-path, and how many numbers it yields (-1: as many as the message has).

    Keyed elements come as a list, a single plain number as itself.
    """
    segments = _split(path, ".")
    names, key = [], None
    for i, segment in enumerate(segments):
        found = _SEGMENT.match(segment)
        if not found or found["key"] == "":
            raise resolver.error(f"cannot read '{segment}'")
        if found["key"] is not None and i + 1 < len(segments):
            raise resolver.error(f"'{segment}' must be the last part")
        names.append(found["name"])
        key = found["key"]
    declared = resolver.attributes(owner, names)
    get = attrgetter(".".join(names))
    if key is not None:
        element, _ = resolver.element(declared, names[-1])
        if element not in _NUMBERS:
            raise resolver.error(f"'{names[-1]}' holds {element}, expected numbers")
        resolver.field_type(owner, "name")
        keys = [part.strip() for part in key.split(",")]
        if not all(keys):
            raise resolver.error(f"cannot read '{segments[-1]}'")
        return _keyed(get, keys, f"field '{resolver.path}'"), len(keys)
    if declared in _NUMBERS:
        return get, 1
    if not _SEQUENCE.match(declared):
        raise resolver.error(f"is {declared}, expected a number or a list of numbers")
    element, length = resolver.element(declared, names[-1])
    if element not in _NUMBERS:
        raise resolver.error(f"holds {element}, expected numbers")
    return get, -1 if length is None else length


def _stack(resolver: _Resolver, owner: type, path: str) -> tuple[Callable, int | None]:
    """Getter of ``a.b.[x,y]`` or ``a.b.x`` below one owner, and its width (None: variable)."""
    *head, last = _split(path, ".")
    if not (last.startswith("[") and last.endswith("]")):
        get, width = _leaf(resolver, owner, path)
        if width == 1 and "[" not in last:
            return (lambda msg: (get(msg),)), 1
        return get, None if width == -1 else width
    parts = [part.strip() for part in _split(last[1:-1], ",")]
    leaves = [_leaf(resolver, owner, ".".join([*head, part])) for part in parts]
    if any(width != 1 for _, width in leaves):
        raise resolver.error("only single numbers can be stacked with [a,b,c]")
    if len(parts) > 1 and not any("[" in part for part in parts):
        stacked = attrgetter(*parts)  # one call into C for all of them
        if not head:
            return stacked, len(parts)
        outer = attrgetter(".".join(head))
        return (lambda msg: stacked(outer(msg))), len(parts)
    getters = [
        (lambda msg, get=get: get(msg)[0]) if "[" in part else get
        for part, (get, _) in zip(parts, leaves, strict=True)
    ]
    return (lambda msg: [get(msg) for get in getters]), len(parts)


class FieldReader:
    """Reads one field path of one message type as float64.

    `width` is the length of the last axis (None: the message decides); `is_list`: the result is (N, width).
    Raises SpecError when the path does not fit the message type.
    """

    def __init__(self, type_name: str, path: str) -> None:
        self.type_name, self.path = type_name, path
        self.message_class = message_class(type_name)
        resolver = _Resolver(type_name, path)
        before, mapped, after = path.partition("[].")
        self.is_list = bool(mapped)
        self._list: Callable | None = None
        if self.is_list:
            names = before.split(".")
            element, _ = resolver.element(resolver.attributes(self.message_class, names), names[-1])
            if "/" not in element or "[]" in after:
                raise resolver.error("expected name[].field with a list of messages, once")
            self._list = attrgetter(before)
            self._get, self.width = _stack(resolver, message_class(element), after)
            if self.width is None:
                raise resolver.error("a list of lists of unknown length is not supported")
        else:
            self._get, self.width = _stack(resolver, self.message_class, path)

    def read(self, msg: Any) -> np.ndarray:
        """(width,) or (N, width) float64. Raises InputError when a named element is missing."""
        if self._list is None:
            return np.array(self._get(msg), dtype=np.float64)
        rows = [self._get(element) for element in self._list(msg)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), self.width)


class FieldWriter:
    """Writes numbers into one field path of one message type. Lists of messages cannot be written."""

    def __init__(self, type_name: str, path: str) -> None:
        self.type_name, self.path = type_name, path
        self.message_class = message_class(type_name)
        resolver = _Resolver(type_name, path)
        if "[]" in path or re.search(r"\w\[", path):
            raise resolver.error("lists cannot be written")
        _, self.width = _stack(resolver, self.message_class, path)
        *head, last = _split(path, ".")
        names = [n.strip() for n in last[1:-1].split(",")] if last.startswith("[") else [last]
        self._whole_list = bool(
            _SEQUENCE.match(resolver.attributes(self.message_class, [*head, *names[0].split(".")]))
        )
        self._targets: list[tuple[Callable | None, str]] = []
        for name in names:
            parents, _, attribute = ".".join([*head, name]).rpartition(".")
            self._targets.append((attrgetter(parents) if parents else None, attribute))

    def write(self, msg: Any, values: np.ndarray) -> None:
        """Put `values` (width,) into `msg`. Raises SpecError on another length."""
        if self.width is not None and len(values) != self.width:
            raise SpecError(
                f"field '{self.path}' of {self.type_name}: got {len(values)} values for {self.width}"
            )
        if self._whole_list:
            parent, attribute = self._targets[0]
            setattr(parent(msg) if parent else msg, attribute, np.asarray(values).tolist())
            return
        for (parent, attribute), value in zip(self._targets, np.asarray(values).tolist(), strict=True):
            setattr(parent(msg) if parent else msg, attribute, value)


def float_array(values: np.ndarray) -> array.array:
    """Flatten to what a float32[] field takes without a loop over its elements."""
    filled = array.array("f")
    filled.frombytes(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    return filled
