"""Paths of files within a pod: relative, without steps back, not beginning with two dots.

Source: kubernetes `pkg/apis/core/validation/validation.go` (`validateLocalDescendingPath` and its kin).
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.errors import FieldError

FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_backsteps(errors: list[FieldError], value: str, path: str) -> None:
    """No element `..`."""
    if ".." in value and ".." in value.split("/"):
        errors.append(field.invalid(path, value, "must not contain '..'"))


def descending(errors: list[FieldError], value: str, path: str) -> None:
    """Relative, and no element `..`."""
    if value.startswith("/"):
        errors.append(field.invalid(path, value, "must be a relative path"))
    no_backsteps(errors, value, path)


def local_not_reserved(errors: list[FieldError], value: str, path: str) -> None:
    """Descending, and not beginning with `..`, which the node keeps for itself."""
    descending(errors, value, path)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(field.invalid(path, value, "must not start with '..'"))


def mode(errors: list[FieldError], value: int | None, path: str) -> None:
    """Permission bits of a file."""
    if value is not None and not 0 <= value <= 0o777:
        errors.append(field.invalid(path, value, FILE_MODE))
