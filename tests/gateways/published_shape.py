"""Whether a value has a published shape."""

import typing
from typing import Any, Literal

from tests.gateways.paypal_shapes import Patterns


def differences(value: Any, shape: Any, where: str = "") -> list[str]:
    """Return where and how a value deviates from the published shape; empty if it does not."""
    if typing.is_typeddict(shape):
        return _of_object(value, shape, where)
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if origin is list and isinstance(value, list):
        inside = [differences(one, arguments[0], f"{where}[{place}]") for place, one in enumerate(value)]
        return [found for one in inside for found in one]
    if origin is Literal:
        fits = value in arguments
    elif shape in Patterns:
        fits = isinstance(value, str) and Patterns[shape].fullmatch(value) is not None
    else:
        fits = shape is Any or isinstance(value, origin or shape)
    return [] if fits else [f"{where} is {value!r}"]


def _of_object(value: Any, shape: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    hints = typing.get_type_hints(shape)
    found = [f"{where}.{name} is missing" for name in sorted(shape.__required_keys__ - value.keys())]
    found += [f"{where}.{name} is not published" for name in sorted(value.keys() - hints.keys())]
    for name in value.keys() & hints.keys():
        found += differences(value[name], hints[name], f"{where}.{name}")
    return found
