"""Values of the command line without pydantic: Typer builds an adapter for each option, which costs 100 ms to import.

Texts and small numbers need no such check. Typer keeps what it would build in one attribute of each parameter; where a
later version no longer looks there, it does its own check again and only time is lost.
"""

from __future__ import annotations

from typing import Any

import typer


class Plain:
    """Stands for Typer's own conversion of one parameter. `number`: (least, most) for integers."""

    def __init__(self, number: tuple[float, float] | None = None) -> None:
        self._number = number

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it. Raises typer.BadParameter."""
        if isinstance(value, tuple | list):
            return list(value)
        if value is None or self._number is None:
            return value
        least, most = self._number
        try:
            number = int(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is no number", ctx=ctx, param=param) from None
        if not least <= number <= most:
            raise typer.BadParameter(f"{number} isn't within {least:.0f} and {most:.0f}", ctx=ctx, param=param)
        return number


PLAIN = (str, str | None, list[str], list[str] | None, bool)


def take_plainly(command: Any, above: typer.Context | None = None) -> None:
    """Lets the parameters of a command, and of those under it, take their values plainly where they can."""
    context = typer.Context(command, above, **command.context_settings)
    shown = command.get_help_option(context)  # Typer keeps the one it makes
    for param in filter(None, (*command.params, shown)):
        descriptor = getattr(param, "type_descriptor", None)
        if descriptor is None or not hasattr(param, "_runtime_param"):
            continue
        if descriptor.annotation in PLAIN:
            param._runtime_param = Plain()
        elif descriptor.annotation is int:
            asked = descriptor.parameter_info
            param._runtime_param = Plain((asked.min or 0, asked.max or 1 << 31))
    for below in getattr(command, "commands", {}).values():
        take_plainly(below, context)
