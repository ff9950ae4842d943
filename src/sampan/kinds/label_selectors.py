"""Validation of labels and label selectors, wherever they stand.

Source: apimachinery `pkg/apis/meta/v1/validation`, `ValidateLabelSelector`, `ValidateLabels`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api import field, names
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import LabelSelector


def label_selector(errors: list[FieldError], selector: LabelSelector | None, path: str) -> None:
    """Findings about a selector; None is fine."""
    if selector is None:
        return
    if selector.matchLabels:
        labels(errors, selector.matchLabels, f"{path}.matchLabels")
    for index, one in enumerate(selector.matchExpressions):
        at = f"{path}.matchExpressions[{index}]"
        if one.operator in ("In", "NotIn"):
            if not one.values:
                errors.append(field.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif one.operator in ("Exists", "DoesNotExist"):
            if one.values:
                errors.append(field.forbidden(f"{at}.values",
                                              "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        else:
            errors.append(field.invalid(f"{at}.operator", one.operator, "not a valid selector operator"))
        if messages := names.qualified_name(one.key):
            errors += field.invalid_each(f"{at}.key", one.key, messages)
        for position, value in enumerate(one.values):
            if messages := names.label_value(value):
                errors += field.invalid_each(f"{at}.values[{position}]", value, messages)


def labels(errors: list[FieldError], values: Mapping[str, str], path: str) -> None:
    """Findings about keys and values of labels (`ValidateLabels`)."""
    for key, value in values.items():
        if messages := names.qualified_name(key):
            errors += field.invalid_each(path, key, messages)
        if messages := names.label_value(value):
            errors += field.invalid_each(path, value, messages)
