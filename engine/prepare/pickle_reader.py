"""Pickles of plain tables of tensors, read without running anything that they name.

A pickle is a program for a small stack machine, and Python's own machine calls whatever function the program names.
This one knows the few opcodes that such tables need and the few names that the caller gives a meaning.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import FlawError
from engine.text import shown

LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def read_pickle(data: bytes, known: Mapping[str, object], persistent: Callable[[object], object]) -> object:
    """The value that a pickle describes.

    known: the globals it may name, `module.name`, and what each stands for here; those that it may call are callable.
    persistent: what a persistent id stands for. Raises ValueError for everything else.
    """
    machine = _Machine(known, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        return machine.stack.pop()
    except (IndexError, KeyError, TypeError, OverflowError) as error:
        raise FlawError("its pickle is malformed ({error})", error=type(error).__name__) from error


class _Machine:
    """The stack and the memo. An operand that is missing or of a wrong type raises one of Python's own errors."""

    def __init__(self, known: Mapping[str, object], persistent: Callable[[object], object]):
        self._known, self._persistent = known, persistent
        self.stack: list[Any] = []
        self._memo: dict[int, object] = {}
        self._operations = {
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "MARK": lambda _: self.stack.append(_MARK),
            "TUPLE": lambda _: self.stack.append(tuple(self._marked())),
            "GLOBAL": self._global,
            "BINPERSID": lambda _: self.stack.append(self._persistent(self.stack.pop())),
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "SETITEM": lambda _: self._set([self.stack.pop() for _ in range(2)][::-1]),
            "SETITEMS": lambda _: self._set(self._marked()),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "BINGET": lambda index: self.stack.append(self._memo[index]),
            "LONG_BINGET": lambda index: self.stack.append(self._memo[index]),
        }

    def step(self, opcode: str, argument: object) -> None:
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in TUPLES:
            self.stack.append(tuple(self.stack.pop() for _ in range(TUPLES[opcode]))[::-1])
        elif opcode in self._operations:
            self._operations[opcode](argument)
        elif opcode not in ("PROTO", "STOP"):
            raise FlawError("its pickle uses {opcode}, which tables of tensors do not need", opcode=opcode)

    def _marked(self) -> list[Any]:
        """The items that were pushed since the last mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _global(self, argument: str) -> None:
        name = argument.replace(" ", ".", 1)
        if name not in self._known:
            raise FlawError(
                "its pickle asks for {name}, which has no place among weights; nothing was run", name=shown(name)
            )
        self.stack.append(self._known[name])

    def _reduce(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple):
            raise TypeError("arguments are a tuple")
        self.stack.append(function(*arguments))  # only what `known` holds and makes can be called

    def _build(self, _: object) -> None:
        """Attributes of a table (a state dict's versions) say nothing about weights."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise TypeError("only tables have attributes")

    def _set(self, items: list[Any]) -> None:
        table = self.stack[-1]
        keys, values = items[::2], items[1::2]
        if not isinstance(table, dict) or len(keys) != len(values) or not all(isinstance(key, str) for key in keys):
            raise TypeError("tables map names to values")
        table.update(zip(keys, values, strict=True))

    def _put(self, index: int) -> None:
        self._memo[index] = self.stack[-1]
