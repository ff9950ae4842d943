"""What names, label keys and values, ports and the like must look like, and upstream's words where they don't.

Every check returns the messages, none when the value is good. Answers are cached: names repeat.
Source: apimachinery `pkg/util/validation/validation.go`, `pkg/api/validate/content`, `pkg/api/validation/generic.go`.
Addresses are in `sampan.api.addresses`, object metadata in `sampan.apiserver.metadata`.
"""

from __future__ import annotations

import re

from sampan.api import field
from sampan.api.errors import FieldError
from sampan.lib.memo import remembered

Messages = tuple[str, ...]
_CACHE = 1 << 13

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_UNDERSCORE = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_UNDERSCORE = rf"{_LABEL_UNDERSCORE}(\.{_LABEL_UNDERSCORE})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_CONDITION_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"

# upstream's patterns are shown in messages; the ones used for matching never backtrack, whatever they are given
_label = re.compile(r"[a-z0-9](?:[-a-z0-9]*(?<!-))?\Z").match
_subdomain_shape = re.compile(r"[a-z0-9](?:[-a-z0-9.]*(?<![-.]))?\Z").match
_label_1035 = re.compile(r"[a-z](?:[-a-z0-9]*(?<!-))?\Z").match
_key = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*(?<![-_.]))?\Z").match
_underscore_label = re.compile(r"_?[a-z0-9](?:[-_a-z0-9]*(?<![-_]))?\Z").match
_http_path = re.compile(_HTTP_PATH).fullmatch
_c_identifier = re.compile(_C_IDENTIFIER).fullmatch
_percent = re.compile(_PERCENT).fullmatch
_http_header = re.compile(_HTTP_HEADER).fullmatch
_env_name = re.compile(_ENV_NAME).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_condition_reason = re.compile(r"[A-Za-z](?:[A-Za-z0-9_,:]*(?<![,:]))?\Z").match

_KEY_WORDS = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_LABEL_WORDS = ("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                "and must start and end with an alphanumeric character")
_SUBDOMAIN_WORDS = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
                    "and must start and end with an alphanumeric character")
_UNDERSCORE_WORDS = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
                     "and must start and end with an alphanumeric character")
_CASELESS_WORDS = ("an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', "
                   "and must start and end with an alphanumeric character")
_WILDCARD_WORDS = ("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
                   "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character")
_LABEL_1035_WORDS = ("a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                     "start with an alphabetic character, and end with an alphanumeric character")
_VALUE_WORDS = ("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                "and must start and end with an alphanumeric character")
_ENV_WORDS = ("a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
              "and must not start with a digit")
_RELAXED_ENV_WORDS = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_CONFIG_KEY_WORDS = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
_REASON_WORDS = ("a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
                 "characters or '_,:', and must end with an alphanumeric character or '_'")


def regex_error(words: str, pattern: str, *examples: str) -> str:
    """How upstream tells of a pattern that did not match."""
    if not examples:
        return f"{words} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} (e.g. {shown}regex used for validation is '{pattern}')"


def max_length_error(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _max_bytes_error(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def range_error(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _is_subdomain(value: str) -> bool:
    return _subdomain_shape(value) is not None and ".-" not in value and "-." not in value and ".." not in value


@remembered(maxsize=_CACHE)
def dns1123_label(value: str) -> Messages:
    """`IsDNS1123Label`: at most 63 of a-z, 0-9 and '-'."""
    found = [] if _length(value) <= 63 else [max_length_error(63)]
    if not _label(value):
        found.append("must not contain dots" if _is_subdomain(value)
                     else regex_error(_LABEL_WORDS, _LABEL, "my-name", "123-abc"))
    return tuple(found)


@remembered(maxsize=_CACHE)
def dns1123_subdomain(value: str) -> Messages:
    """`IsDNS1123Subdomain`: labels with dots between, at most 253."""
    found = [] if _length(value) <= 253 else [max_length_error(253)]
    if not _is_subdomain(value):
        found.append(regex_error(_SUBDOMAIN_WORDS, _SUBDOMAIN, "example.com"))
    return tuple(found)


def long_name(value: str) -> Messages:
    """`k8s-long-name` of declarative validation: as `dns1123_subdomain`, in its words."""
    found = [] if _length(value) <= 253 else [_max_bytes_error(253)]
    return (*found, *(message for message in dns1123_subdomain(value) if message != max_length_error(253)))


def dns1123_subdomain_caseless(value: str) -> Messages:
    """`IsDNS1123SubdomainCaseless`: as `dns1123_subdomain`, upper case too."""
    found = [] if _length(value) <= 253 else [_max_bytes_error(253)]
    if not (value.isascii() and _is_subdomain(value.lower())):
        found.append(regex_error(_CASELESS_WORDS, _SUBDOMAIN, "Example.com"))
    return tuple(found)


def dns1123_subdomain_with_underscore(value: str) -> Messages:
    """`IsDNS1123SubdomainWithUnderscore`."""
    found = [] if _length(value) <= 253 else [max_length_error(253)]
    if not all(map(_underscore_label, value.split("."))):
        found.append(regex_error(_UNDERSCORE_WORDS, _SUBDOMAIN_UNDERSCORE, "example.com"))
    return tuple(found)


@remembered(maxsize=_CACHE)
def dns1035_label(value: str) -> Messages:
    """`IsDNS1035Label`: as a label of RFC 1123, starting with a letter."""
    found = [] if _length(value) <= 63 else [max_length_error(63)]
    if not _label_1035(value):
        found.append(regex_error(_LABEL_1035_WORDS, _LABEL_1035, "my-name", "abc-123"))
    return tuple(found)


def wildcard_dns1123_subdomain(value: str) -> Messages:
    """`IsWildcardDNS1123Subdomain`: `*.example.com`."""
    found = [] if _length(value) <= 253 else [max_length_error(253)]
    if not (value.startswith("*.") and _is_subdomain(value[2:])):
        found.append(regex_error(_WILDCARD_WORDS, _WILDCARD, "*.example.com"))
    return tuple(found)


@remembered(maxsize=_CACHE)
def qualified_name(value: str) -> Messages:
    """`IsQualifiedName`, which is `IsLabelKey`: an optional DNS prefix and a name, `example.com/MyName`."""
    prefix, slash, name = value.partition("/")
    if "/" in name:
        return (f"a valid label key {regex_error(_KEY_WORDS, _KEY, 'MyName', 'my.name', '123-abc')}"
                " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    found: list[str] = []
    if not slash:
        name = prefix
    elif not prefix:
        found.append("prefix part must be non-empty")
    else:
        if _length(prefix) > 253:
            found.append(f"prefix part {_max_bytes_error(253)}")
        if not _is_subdomain(prefix):
            found.append(f"prefix part {regex_error(_SUBDOMAIN_WORDS, _SUBDOMAIN, 'example.com')}")
    if not name:
        found.append("name part must be non-empty")
    elif _length(name) > 63:
        found.append(f"name part {_max_bytes_error(63)}")
    if not _key(name):
        found.append(f"name part {regex_error(_KEY_WORDS, _KEY, 'MyName', 'my.name', '123-abc')}")
    return tuple(found)


label_key = qualified_name


@remembered(maxsize=_CACHE)
def label_value(value: str) -> Messages:
    """`IsValidLabelValue`: empty, or at most 63 characters."""
    found = [] if _length(value) <= 63 else [_max_bytes_error(63)]
    if value and not _key(value):
        found.append(regex_error(_VALUE_WORDS, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(found)


def c_identifier(value: str) -> Messages:
    """`IsCIdentifier`."""
    if _c_identifier(value):
        return ()
    words = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'"
    return (regex_error(words, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName"),)


def port_number(port: int) -> Messages:
    """`IsValidPortNum`: 1 to 65535."""
    return in_range(port, 1, 65535)


def in_range(value: int, low: int, high: int) -> Messages:
    """`IsInRange`, both ends included."""
    return () if low <= value <= high else (range_error(low, high),)


def user_id(value: int) -> Messages:
    """`IsValidUserID`; groups have the same range."""
    return in_range(value, 0, 2**31 - 1)


group_id = user_id


def port_name(value: str) -> Messages:
    """`IsValidPortName`: an IANA service name."""
    found = [] if _length(value) <= 15 else [max_length_error(15)]
    if not re.fullmatch("[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)


def percent(value: str) -> Messages:
    """`IsValidPercent`: `25%`."""
    if _percent(value):
        return ()
    words = "a valid percent string must be a numeric string followed by an ending '%'"
    return (regex_error(words, _PERCENT, "1%", "93%"),)


def http_header_name(value: str) -> Messages:
    """`IsHTTPHeaderName`."""
    if _http_header(value):
        return ()
    return (regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HTTP_HEADER, "X-Header-Name"),)


def env_var_name(value: str) -> Messages:
    """`IsEnvVarName`, the strict form."""
    found = [] if _env_name(value) else [regex_error(_ENV_WORDS, _ENV_NAME, "my.env-name", "MY_ENV.NAME", "MyEnvName1")]
    return (*found, *_parent_folder(value))


def relaxed_env_var_name(value: str) -> Messages:
    """`IsRelaxedEnvVarName`, which is what containers' environments are held to."""
    if not value:
        return ("environment variable name must be non-empty",)
    return () if value.isascii() and value.isprintable() and "=" not in value else (_RELAXED_ENV_WORDS,)


@remembered(maxsize=_CACHE)
def config_map_key(value: str) -> Messages:
    """`IsConfigMapKey`: a file's name."""
    found = [] if _length(value) <= 253 else [max_length_error(253)]
    if not _config_key(value):
        found.append(regex_error(_CONFIG_KEY_WORDS, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return (*found, *_parent_folder(value))


def _parent_folder(value: str) -> Messages:
    if value in (".", ".."):
        return (f"must not be '{value}'",)
    return ("must not start with '..'",) if value.startswith("..") else ()


def masked(prefix: str) -> str:
    """A prefix of names, with an `a` for its last two characters where it ends with a dash (`maskTrailingDash`)."""
    return prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix


def path_segment_name(value: str) -> Messages:
    """`IsPathSegmentName`: what may stand between two slashes of a URL (roles, bindings, CSRs)."""
    if value in (".", ".."):
        return (f"may not be '{value}'",)
    return tuple(f"may not contain '{part}'" for part in ("/", "%") if part in value)


def condition_reason(value: str) -> Messages:
    """What a condition's reason must look like."""
    if _condition_reason(value):
        return ()
    examples = ("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB")
    return (regex_error(_REASON_WORDS, _CONDITION_REASON, *examples),)


def fully_qualified_name(path: str, value: str) -> list[FieldError]:
    """`IsFullyQualifiedName`: at least three segments."""
    if not value:
        return [field.required(path)]
    if messages := dns1123_subdomain(value):
        return [field.invalid(path, value, ",".join(messages))]
    if value.count(".") < 2:
        return [field.invalid(path, value, "should be a domain with at least three segments separated by dots")]
    return []


def fully_qualified_domain_name(path: str, value: str) -> list[FieldError]:
    """`IsFullyQualifiedDomainName`: at least two segments, a dot at the end is fine."""
    if not value:
        return [field.required(path)]
    value = value.removesuffix(".")
    if messages := dns1123_subdomain(value):
        return [field.invalid(path, value, ",".join(messages))]
    if "." not in value:
        return [field.invalid(path, value, "should be a domain with at least two segments separated by dots")]
    return [field.invalid(path, label, ",".join(found)) for label in value.split(".") if (found := dns1123_label(label))]


def domain_prefixed_path(path: str, value: str) -> list[FieldError]:
    """`IsDomainPrefixedPath`: `acme.io/foo`."""
    if not value:
        return [field.required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [field.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    errors = field.invalid_each(path, host, dns1123_subdomain(host))
    if not _http_path(rest):
        errors.append(field.invalid(path, rest, regex_error("Invalid path", _HTTP_PATH)))
    return errors


def domain_prefixed_key(path: str, value: str) -> list[FieldError]:
    """`IsDomainPrefixedKey`: a qualified name whose prefix is there."""
    if not value:
        return [field.required(path)]
    if messages := qualified_name(value):
        return field.invalid_each(path, value, messages)
    return [] if "/" in value else [field.invalid(path, value, 'must be a domain-prefixed key (such as "acme.io/foo")')]
