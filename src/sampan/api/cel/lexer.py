"""Text to tokens. One regular expression finds each; literals are decoded here.

Source: cel-spec `langdef.md`, "Syntax".
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sampan.api.cel.errors import CompileError, Issue

_TOKEN = re.compile(r"""
  (?P<space>(?:[ \t\r\n\f]|//[^\n]*)+)
 |(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
 |(?P<int>0x[0-9a-fA-F]+|[0-9]+)(?P<unsigned>[uU])?
 |(?P<prefix>[rR][bB]?|[bB][rR]?)?(?P<quote>\"\"\"|'''|"|')
 |(?P<escaped>`[a-zA-Z0-9_.\-/ ]+`)
 |(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)
 |(?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,\[\](){}])
""", re.VERBOSE | re.ASCII)
_ESCAPED = r"[abfnrtv\\'\"`?]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}"
_ENDS = {
    (quote, raw): re.compile((r"" if raw else r"(?:\\(?:" + _ESCAPED + ")|") + (rf"(?:(?!{quote}){newline})*" if raw else rf"(?!{quote}|\\){newline})*") + quote,
                             re.DOTALL)
    for quote in ('"""', "'''", '"', "'") for raw in (True, False)
    for newline in ("." if len(quote) == 3 else r"[^\n\r]",)
}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))|(\\)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}
INT64 = 1 << 63


class Token(NamedTuple):
    """`kind`: name, escaped, int, uint, float, string, bytes, symbol or end."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens(source: str) -> tuple[list[Token], list[Issue]]:
    """All tokens, an `end` behind them, and what is no token: whoever parses goes on without it.

    Raises:
        CompileError: A literal is out of its range.
    """
    found: list[Token] = []
    issues: list[Issue] = []
    at, end = 0, len(source)
    while at < end:
        match = _TOKEN.match(source, at)
        taken = None if match is None or match["quote"] is None else _string(source, match)
        if match is None or (match["quote"] is not None and taken is None):
            text = source[at] if match is None else _unclosed(source, match)
            issues.append(Issue(at, f"Syntax error: token recognition error at: '{text}'"))
            at += len(text)
        elif taken is not None:
            found.append(taken[0])
            at = taken[1]
        else:
            if match["space"] is None:
                found.append(_token(source, match))
            at = match.end()
    found.append(Token("end", "<EOF>", end))
    return found, issues


def _token(source: str, match: re.Match[str]) -> Token:
    at, text = match.start(), match[0]
    if match["name"]:
        return Token("name", text, at)
    if match["symbol"]:
        return Token("symbol", text, at)
    if match["float"]:
        return Token("float", text, at, float(text))
    if match["escaped"]:
        return Token("escaped", text[1:-1], at)
    digits = match["int"]
    if len(digits) > 40:
        raise CompileError(source, [Issue(at, f"invalid {'uint' if match['unsigned'] else 'int'} literal")])
    value = int(digits, 16) if digits[:2] == "0x" else int(digits)
    if match["unsigned"]:
        if value >= 2 * INT64:
            raise CompileError(source, [Issue(at, "invalid uint literal")])
        return Token("uint", text, at, value)
    return Token("int", text, at, value)


def _unclosed(source: str, match: re.Match[str]) -> str:
    """As much of a string without an end as reads like one: to an escape that there is not, or the end of the line."""
    raw = "r" in (match["prefix"] or "").lower()
    rest = re.compile(r"[^\n\r]*" if raw else r"(?:\\(?:" + _ESCAPED + r")|[^\\\n\r])*(?:\\.?)?").match(source, match.end())
    return source[match.start():rest.end() if rest is not None else match.end()]


def _string(source: str, match: re.Match[str]) -> tuple[Token, int] | None:
    """The token, and where what follows it begins; None: it has no end."""
    prefix, quote, at = (match["prefix"] or "").lower(), match["quote"], match.start()
    raw, binary = "r" in prefix, "b" in prefix
    if len(quote) == 3 and source.find(quote, match.end()) < 0:
        quote = quote[0]  # an empty string and the start of another
    closing = _ENDS[quote, raw].match(source, at + len(prefix) + len(quote))
    if closing is None:
        return None
    inner = closing[0][:-len(quote)]
    text = source[at:closing.end()]
    value: Any
    try:
        if binary:
            value = inner.encode() if raw else _bytes(inner)
        else:
            value = inner if raw else _ESCAPE.sub(_unescape, inner) if "\\" in inner else inner
    except ValueError as error:
        raise CompileError(source, [Issue(at, str(error))]) from None
    return Token("bytes" if binary else "string", text, at, value), closing.end()


def _unescape(match: re.Match[str]) -> str:
    simple, hex2, hex4, hex8, octal, bad = match.groups()
    if bad:
        raise ValueError("unable to unescape string")
    if simple:
        return _SIMPLE[simple]
    code = int(octal, 8) if octal else int(hex2 or hex4 or hex8, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError("invalid unicode code point")
    return chr(code)


def _bytes(inner: str) -> bytes:
    out, at = bytearray(), 0
    for match in _ESCAPE.finditer(inner):
        out += inner[at:match.start()].encode()
        _, hex2, _, _, octal, _ = match.groups()
        out += bytes((int(octal, 8) if octal else int(hex2, 16),)) if octal or hex2 else _unescape(match).encode()
        at = match.end()
    return bytes(out + inner[at:].encode())
