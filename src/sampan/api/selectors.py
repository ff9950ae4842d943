"""Label and field selectors: parsing, matching and printing, with upstream's messages.

Owns both syntaxes and `LabelSelector` objects (Struct or dict). A parsed selector is immutable and cached;
`matches` is a plain function over a dict of labels.
Source: apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go`, `pkg/apis/meta/v1/helpers.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from sampan.api import field, goprint, names
from sampan.api.errors import FieldError
from sampan.lib.memo import remembered

Labels = Mapping[str, str]
Match = Callable[[Labels], bool]

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_EXPECTED_OPERATOR = "in, notin, =, ==, !=, gt, lt"
_CACHE = 1 << 12
_MOST_PARTS = 64
_INT64 = re.compile(r"[+-]?[0-9]+")


class SelectorError(ValueError):
    """A selector that can't be understood; the text is upstream's."""


class Requirement(NamedTuple):
    """One condition; `operator` is one of in, notin, =, ==, !=, gt, lt, exists, !."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"

    def compile(self) -> Match:
        """The condition as a function over labels."""
        key, values = self.key, frozenset(self.values)
        match self.operator:
            case "exists":
                return lambda labels: key in labels
            case "!":
                return lambda labels: key not in labels
            case "notin" | "!=":
                return lambda labels: labels.get(key) not in values
            case "gt" | "lt":
                return self._compile_order(int(self.values[0]), greater=self.operator == "gt")
            case _:
                if len(values) == 1:
                    only = self.values[0]
                    return lambda labels: labels.get(key) == only
                return lambda labels: labels.get(key) in values

    def _compile_order(self, bound: int, *, greater: bool) -> Match:
        key = self.key

        def compare(labels: Labels) -> bool:
            number = int64(labels.get(key, ""))
            return number is not None and (number > bound if greater else number < bound)

        return compare


class Selector:
    """Requirements that must all hold. `nothing` selects no object at all."""

    __slots__ = ("__dict__", "nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda requirement: requirement.key))
        self.nothing = nothing

    @cached_property
    def matches(self) -> Match:
        """Whether an object with these labels is selected."""
        if self.nothing:
            return lambda _labels: False
        if not self.requirements:
            return lambda _labels: True
        checks = [requirement.compile() for requirement in self.requirements]
        if len(checks) == 1:
            return checks[0]
        if all(r.operator in ("=", "==") or (r.operator == "in" and len(r.values) == 1) for r in self.requirements):
            wanted = {(r.key, r.values[0]) for r in self.requirements}
            return lambda labels: wanted <= labels.items()
        return lambda labels: all(check(labels) for check in checks)

    @property
    def empty(self) -> bool:
        """Whether everything is selected."""
        return not self.requirements and not self.nothing

    def exact(self, key: str) -> str | None:
        """The one value that the selector demands of `key`, if it does."""
        for requirement in self.requirements:
            if requirement.key == key:
                one = requirement.operator in ("=", "==", "in") and len(requirement.values) == 1
                return requirement.values[0] if one else None
        return None

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selector):
            return NotImplemented
        return (self.requirements, self.nothing) == (other.requirements, other.nothing)

    def __hash__(self) -> int:
        return hash((self.requirements, self.nothing))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def int64(text: str) -> int | None:
    """What Go's ParseInt reads, or None where it refuses."""
    if len(text) > 20 or not _INT64.fullmatch(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def requirement(key: str, operator: str, values: Sequence[str] = ()) -> Requirement:
    """Check one condition.

    Raises:
        SelectorError: As upstream's NewRequirement says it.
    """
    if errors := requirement_errors(key, operator, values):
        raise SelectorError(field.aggregate(errors))
    return Requirement(key, operator, tuple(values))


def requirement_errors(key: str, operator: str, values: Sequence[str] = (), path: str = "") -> list[FieldError]:
    """What upstream's NewRequirement finds wrong with a condition that stands at `path`."""
    errors, at = [], f"{path}." if path else ""
    if messages := names.qualified_name(key):
        errors.append(field.invalid(f"{at}key", key, "; ".join(messages)))
    shown = list(values)
    if operator in ("in", "notin"):
        if not values:
            errors.append(field.invalid(f"{at}values", shown, "for 'in', 'notin' operators, values set can't be empty"))
    elif operator in ("=", "==", "!="):
        if len(values) != 1:
            errors.append(field.invalid(f"{at}values", shown, "exact-match compatibility requires one single value"))
    elif operator in ("exists", "!"):
        if values:
            errors.append(field.invalid(f"{at}values", shown, "values set must be empty for exists and does not exist"))
    else:
        if len(values) != 1:
            errors.append(field.invalid(f"{at}values", shown, "for 'Gt', 'Lt' operators, exactly one value is required"))
        errors += [field.invalid(f"{at}values[{i}]", value, "for 'Gt', 'Lt' operators, the value must be an integer")
                   for i, value in enumerate(values) if int64(value) is None]
    errors += [field.invalid(f"{at}values[{i}][{key}]", value, "; ".join(messages))
               for i, value in enumerate(values) if (messages := names.label_value(value))]
    return errors


# ---- the label selector syntax -------------------------------------------------------------------------------------

_BLANK = " \t\r\n"
_SPECIAL = "=!(),><"
_TOKENS = {")", ",", "!", "==", "=", ">", "<", "!=", "("}
_WORDS = {"in", "notin"}


class _Token(NamedTuple):
    kind: str  # "id", "end", "error", or the token itself
    text: str


def _scan(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(text)
    if (zero := text.find("\0")) >= 0:  # Go's lexer takes it for the end
        end = zero
    while at < end:
        char = text[at]
        if char in _BLANK:
            at += 1
        elif char in _SPECIAL:
            two = text[at:min(at + 2, end)]
            token = two if two in _TOKENS else char
            tokens.append(_Token(token, token))
            at += len(token)
        else:
            start = at
            while at < end and text[at] not in _SPECIAL and text[at] not in _BLANK:
                at += 1
            word = text[start:at]
            tokens.append(_Token(word if word in _WORDS else "id", word))
    tokens.append(_Token("end", ""))
    return tokens


class _Parser:
    """Recursive descent over the tokens; words like `in` are values wherever an operator can't stand."""

    def __init__(self, text: str) -> None:
        self.tokens = _scan(text)
        self.at = 0

    def peek(self) -> _Token:
        token = self.tokens[self.at]
        return _Token("id", token.text) if token.kind in _WORDS else token

    def take(self, *, operator: bool = False) -> _Token:
        token = self.tokens[self.at] if operator else self.peek()
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token = self.peek()
            if token.kind == "end":
                return found
            if token.kind not in ("id", "!"):
                raise SelectorError(f"found '{token.text}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self.take()
            if token.kind == "end":
                return found
            if token.kind != ",":
                raise SelectorError(f"found '{token.text}', expected: ',' or 'end of string'")
            if self.peek().kind not in ("id", "!"):
                raise SelectorError(f"found '{self.peek().text}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        token = self.take()
        absent = token.kind == "!"
        if absent:
            token = self.take()
        if token.kind != "id":
            raise SelectorError(f"found '{token.text}', expected: identifier")
        key = token.text
        if messages := names.qualified_name(key):
            raise SelectorError(str(field.invalid("<nil>", key, "; ".join(messages))))
        if absent or self.peek().kind in ("end", ","):
            return requirement(key, "!" if absent else "exists")
        operator = self.operator()
        values = self.values() if operator in ("in", "notin") else self.exact_value()
        return requirement(key, operator, values)

    def operator(self) -> str:
        token = self.take(operator=True)
        if token.kind in ("in", "notin", "=", "==", "!="):
            return token.kind
        if token.kind in (">", "<"):
            return "gt" if token.kind == ">" else "lt"
        raise SelectorError(f"found '{token.text}', expected: {_EXPECTED_OPERATOR}")

    def values(self) -> list[str]:
        token = self.take()
        if token.kind != "(":
            raise SelectorError(f"found '{token.text}' expected: '('")
        first = self.peek()
        if first.kind == ")":
            self.take()
            return [""]
        if first.kind not in ("id", ","):
            raise SelectorError(f"found '{first.text}', expected: ',', ')' or identifier")
        found = self.identifiers()
        if self.take().kind != ")":
            raise SelectorError(f"found '{first.text}', expected: ')'")
        return sorted(found)

    def identifiers(self) -> set[str]:
        found: set[str] = set()
        while True:
            token = self.take()
            if token.kind == "id":
                found.add(token.text)
                after = self.peek()
                if after.kind == ")":
                    return found
                if after.kind != ",":
                    raise SelectorError(f"found '{after.text}', expected: ',' or ')'")
            elif token.kind == ",":
                if not found:
                    found.add("")
                if self.peek().kind == ")":
                    return found | {""}
                if self.peek().kind == ",":
                    found.add("")
            else:
                raise SelectorError(f"found '{token.text}', expected: ',', or identifier")

    def exact_value(self) -> list[str]:
        if self.peek().kind in ("end", ","):
            return [""]
        token = self.take()
        if token.kind != "id":
            raise SelectorError(f"found '{token.text}', expected: identifier")
        return [token.text]


@remembered(maxsize=_CACHE)
def parse_labels(text: str) -> Selector:
    """A label selector as in a query: `app=web,tier in (front,back),!canary`.

    Raises:
        SelectorError: As upstream says it.
    """
    return Selector(_Parser(text).parse())


# ---- LabelSelector objects -----------------------------------------------------------------------------------------


def of_label_selector(selector: Any) -> Selector:
    """A `LabelSelector` (Struct or dict): None selects nothing, an empty one everything.

    Raises:
        SelectorError: An operator, key or value is not valid.
    """
    if selector is None:
        return NOTHING
    if isinstance(selector, Mapping):
        labels = selector.get("matchLabels") or {}
        expressions = tuple((e.get("key", ""), e.get("operator", ""), tuple(e.get("values") or ()))
                            for e in selector.get("matchExpressions") or ())
    else:
        labels = selector.matchLabels or {}
        expressions = tuple((e.key, e.operator, tuple(e.values or ())) for e in selector.matchExpressions or ())
    if not labels and not expressions:
        return EVERYTHING
    parts = len(labels) + sum(1 + len(values) for _, _, values in expressions)
    return (_known_parts if parts <= _MOST_PARTS else _of_parts)(tuple(labels.items()), expressions)


def _of_parts(labels: tuple[tuple[str, str], ...], expressions: tuple[tuple[str, str, tuple[str, ...]], ...]) -> Selector:
    found = [requirement(key, "=", (value,)) for key, value in labels]
    for key, operator, values in expressions:
        if operator not in _OPERATORS:
            raise SelectorError(f"{goprint.quote(operator)} is not a valid label selector operator")
        found.append(requirement(key, _OPERATORS[operator], values))
    return Selector(found)


def _of_set(labels: tuple[tuple[str, str], ...]) -> Selector:
    return Selector(Requirement(key, "=", (value,)) for key, value in labels)


_known_parts, _known_set = lru_cache(maxsize=_CACHE)(_of_parts), lru_cache(maxsize=_CACHE)(_of_set)
"""Keys and values are short where they are valid, so these are bounded by how many a selector may have to be kept."""


def of_set(labels: Labels | None) -> Selector:
    """What selects exactly these labels (Services, ReplicationControllers); empty selects everything."""
    if not labels:
        return EVERYTHING
    return (_known_set if len(labels) <= _MOST_PARTS else _of_set)(tuple(labels.items()))


def format_selector(selector: Any) -> str:
    """A `LabelSelector`, dict of labels or `Selector` as text, as in a Scale's status."""
    if isinstance(selector, Selector):
        return str(selector)
    if isinstance(selector, Mapping) and not ({"matchLabels", "matchExpressions"} & selector.keys()):
        return str(of_set(selector))
    return str(of_label_selector(selector))


def format_go(selector: Any) -> str:
    """A `LabelSelector` as Go prints a pointer to one, as it stands in messages of events and conditions."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted(selector.matchLabels.items()))
    expressions = "".join(f"LabelSelectorRequirement{{Key:{one.key},Operator:{one.operator},Values:[{' '.join(one.values)}],}},"
                          for one in selector.matchExpressions)
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"


def format_column(selector: Any) -> str:
    """A `LabelSelector` as printed in tables: `<none>` for everything and nothing (Go: `FormatLabelSelector`)."""
    try:
        return str(of_label_selector(selector)) or "<none>"
    except SelectorError:
        return "<error>"


# ---- field selectors -----------------------------------------------------------------------------------------------


class FieldTerm(NamedTuple):
    """`field = value`, or `field != value`."""

    field: str
    value: str
    equal: bool

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{'=' if self.equal else '!='}{escaped}"


class FieldSelector(NamedTuple):
    """Terms that must all hold."""

    terms: tuple[FieldTerm, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.terms

    def exact(self, name: str) -> str | None:
        """The value that the selector demands of a field, if it does."""
        return next((term.value for term in self.terms if term.equal and term.field == name), None)

    def compile(self, getters: Mapping[str, Callable[[Any], str]]) -> Callable[[Any], bool]:
        """A function over objects; `getters` read the fields (the caller has refused unknown ones)."""
        checks = tuple((getters[term.field], term.value, term.equal) for term in self.terms)
        return lambda obj: all((get(obj) == value) is equal for get, value, equal in checks)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))


_FIELD_OPERATOR = re.compile("!=|==|=")
_SPECIAL_VALUE = re.compile(r"\\(.)|([,=])|(\\)\Z", re.DOTALL)


def _unescape(value: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[2]:
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(match[2])}")
        if match[3] or match[1] not in ("\\", ",", "="):
            raise SelectorError(f"invalid field selector: invalid escape sequence: {match[0]}")
        return match[1]

    return _SPECIAL_VALUE.sub(replace, value)


def _split_terms(text: str) -> list[str]:
    parts, start, escaped = [], 0, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if text else []


@remembered(maxsize=_CACHE)
def parse_fields(text: str) -> FieldSelector:
    """A field selector as in a query: `status.phase=Running,spec.nodeName!=n1`.

    Raises:
        SelectorError: As upstream says it.
    """
    terms = []
    for part in sorted(filter(None, _split_terms(text))):
        match = _FIELD_OPERATOR.search(part)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        term = FieldTerm(part[:match.start()], _unescape(part[match.end():]), match[0] != "!=")
        if term.field or term.value:
            terms.append(term)
    return FieldSelector(tuple(terms))
