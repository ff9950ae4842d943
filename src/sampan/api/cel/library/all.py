"""Every function by its name, in one table."""

from __future__ import annotations

from sampan.api.cel.library import authorizer, kubernetes, lists, regex, standard, strings
from sampan.api.cel.library.overload import Functions, Overload

LIBRARIES: tuple[Functions, ...] = (standard.FUNCTIONS, strings.FUNCTIONS, lists.FUNCTIONS, regex.FUNCTIONS, kubernetes.FUNCTIONS,
                                    authorizer.FUNCTIONS)


def merged(*libraries: Functions) -> Functions:
    """One table; functions of one name have the overloads of all."""
    table: dict[str, list[Overload]] = {}
    for library in libraries:
        for name, overloads in library.items():
            table.setdefault(name, []).extend(overloads)
    return table


FUNCTIONS = merged(*LIBRARIES)
