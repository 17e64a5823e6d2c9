"""Tables of settings ↔ frozen dataclasses, with no misspelt key accepted."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin

from asr.errors import OptionsError


class _Options(Protocol):
    __dataclass_fields__: typing.ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Options)


def from_table(cls: type[T], table: Mapping[str, object], *, where: str) -> T:
    """Builds an options dataclass from a TOML table or JSON object.

    Args:
        cls: A frozen dataclass whose fields are scalars, literals, optionals or tuples of them.
        table: The settings; keys left out keep their defaults.
        where: What the table is called in an error, e.g. `recipe.toml [features]`.

    Raises:
        OptionsError: A key is unknown (the known ones are named), a value has the wrong type, a
            setting without a default is missing, or the dataclass's own checks refuse a value.
    """
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise OptionsError(
            f"{where}: unknown key {', '.join(unknown)}; known keys are {', '.join(known)}"
        )
    values = {key: _fit(value, hints[key], f"{where}: {key}") for key, value in table.items()}
    missing = [name for name in _required(cls) if name not in values]
    if missing:
        raise OptionsError(f"{where}: missing key {', '.join(missing)}")
    try:
        return cls(**values)
    except OptionsError as error:
        raise OptionsError(f"{where}: {error}") from None


def to_table(options: _Options) -> dict[str, Any]:
    """Returns an options dataclass as a table that `from_table` reads back.

    Settings that are None are left out, since TOML has no null; `None` must be their default.
    Fields that the constructor does not take are no settings, and left out too.
    """
    names = [field.name for field in dataclasses.fields(options) if field.init]
    pairs = ((name, getattr(options, name)) for name in names)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in pairs
        if value is not None
    }


def require(condition: bool, expected: str, received: object) -> None:
    """Raises OptionsError naming what was expected and received unless the condition holds."""
    if not condition:
        raise OptionsError(f"expected {expected}, received {received!r}")


def _required(cls: type[_Options]) -> list[str]:
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]


def _fit(value: object, hint: Any, where: str) -> object:
    """Returns the value as the hint's type: whole numbers pass for floats, lists for tuples."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _fit_union(value, arguments, where)
    if origin is Literal:
        return _fit_literal(value, arguments, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise OptionsError(f"{where}: expected a list, received {value!r}")
        return tuple(_fit(item, arguments[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise OptionsError(f"{where}: expected {hint.__name__}, received {value!r}")
    return value


def _as_float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise OptionsError(f"{where}: expected a smaller number") from None


def _fit_union(value: object, hints: tuple[Any, ...], where: str) -> object:
    for hint in hints:
        try:
            return _fit(value, hint, where)
        except OptionsError:
            continue
    names = " or ".join(getattr(hint, "__name__", str(hint)) for hint in hints)
    raise OptionsError(f"{where}: expected {names}, received {value!r}")


def _fit_literal(value: object, choices: tuple[Any, ...], where: str) -> object:
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return value
    raise OptionsError(
        f"{where}: expected one of {', '.join(map(repr, choices))}, received {value!r}"
    )
