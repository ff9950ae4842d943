"""Tokens to a tree, by operator precedence; macros are recognised here.

Depth and length are bounded: a tree is never deeper than `DEPTH`, so whoever walks it may recurse.
Source: cel-spec `langdef.md`; cel-go `parser/parser.go`, `parser/macro.go` for macros and words.
"""

from __future__ import annotations

from sampan.api.cel import ast
from sampan.api.cel.ast import Node
from sampan.api.cel.errors import CompileError, Issue
from sampan.api.cel.lexer import INT64, Token, tokens
from sampan.api.cel.types import BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT
from sampan.api.cel.values import UInt

LENGTH = 100_000
DEPTH = 250
_BINARY = {"||": 2, "&&": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "in": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
_EXPECTED = ("{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}")
_RESERVED = frozenset(("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
                       "namespace", "return", "var", "void", "while"))
_WORDS = frozenset(("true", "false", "null", "in"))
_MACROS = {"all": (2, 3), "exists": (2, 3), "exists_one": (2, 3), "existsOne": (2, 3), "map": (2, 3), "filter": (2,),
           "transformList": (3, 4), "transformMap": (3, 4), "transformMapEntry": (3, 4), "optMap": (2,), "optFlatMap": (2,)}


def parse(source: str) -> Node:
    """The tree of an expression.

    Raises:
        CompileError: It is none, too long or too deep.
    """
    if len(source) > LENGTH:
        raise CompileError("", [Issue(-1, f"expression code point size exceeds limit: size: {len(source)}, limit {LENGTH}")])
    parser = _Parser(source)
    try:
        node = parser.whole()
    except CompileError as error:
        if not parser.strange:
            raise
        raise CompileError(source, sorted((*parser.strange, *error.issues), key=lambda issue: issue.offset)) from None
    if parser.strange:
        raise CompileError(source, parser.strange)
    return node


class _Parser:
    def __init__(self, source: str) -> None:
        self.source, self.next, self.depth = source, 0, 0
        self.all, self.strange = tokens(source)

    def whole(self) -> Node:
        node = self.expression(0)
        token = self.peek
        if token.kind != "end":
            alone = self.all[self.next + 1].kind == "end"
            raise self.syntax(token, f"{'extraneous' if alone else 'mismatched'} input '{token.text}' expecting <EOF>")
        return node

    # ---- help ------------------------------------------------------------------------------------------------------

    @property
    def peek(self) -> Token:
        return self.all[self.next]

    def take(self) -> Token:
        token = self.all[self.next]
        self.next += 1
        return token

    def at(self, symbol: str) -> bool:
        token = self.all[self.next]
        return token.text == symbol and token.kind == "symbol"

    def accept(self, symbol: str) -> bool:
        if self.at(symbol):
            self.next += 1
            return True
        return False

    def expect(self, symbol: str, *others: str) -> Token:
        """The symbol; `others` would have done as well, but were not there."""
        if not self.at(symbol):
            wanted = f"'{symbol}'"
            if others:
                wanted = f"{{{', '.join(repr(one) for one in (*others, symbol))}}}"
            raise self.syntax(self.peek, f"mismatched input '{self.peek.text}' expecting {wanted}")
        return self.take()

    def syntax(self, token: Token, words: str) -> CompileError:
        return self.fail(token.at, f"Syntax error: {words}")

    def fail(self, at: int, words: str) -> CompileError:
        return CompileError(self.source, [Issue(at, words)])

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise CompileError("", [Issue(-1, f"expression recursion limit exceeded: {DEPTH}")])

    # ---- grammar ---------------------------------------------------------------------------------------------------

    def expression(self, least: int) -> Node:
        """`least`: operators that bind weaker are left to the caller. 0 takes the ternary too."""
        self.deeper()
        before = self.depth
        left = self.unary()
        while True:
            token = self.peek
            strength = _BINARY.get(token.text, 0) if token.kind in ("symbol", "name") else 0
            if strength <= least or strength == 0:
                break
            if strength <= 3:
                left = self.logic(left, token.text, strength)
                continue
            self.deeper()  # a chain leans to the left: each link is one level
            self.next += 1
            right = self.expression(strength)
            left = ast.Call(token.at, "@in" if token.text == "in" else f"_{token.text}_", None, [left, right])
        if least == 0 and self.at("?"):
            at = self.take().at
            yes = self.expression(1)
            self.expect(":")
            left = ast.Call(at, "_?_:_", None, [left, yes, self.expression(0)])
        self.depth = before - 1
        return left

    def logic(self, left: Node, operator: str, strength: int) -> Node:
        args, ats = [left], []
        while self.at(operator):
            ats.append(self.take().at)
            args.append(self.expression(strength))
        return ast.Logic(ats[0], operator, args, ats)

    def unary(self) -> Node:
        signs = []
        while self.peek.text in ("-", "!") and self.peek.kind == "symbol":
            signs.append(self.take())
            if len(signs) > 1 and signs[-1].text != signs[-2].text:
                raise self.syntax(signs[-1], f"extraneous input '{signs[-1].text}' expecting {_EXPECTED}")
        if signs and signs[0].text == "-" and self.peek.kind in ("int", "float"):
            number = self.take()
            value = -number.value
            node: Node = self.number(number, value, at=signs.pop().at)
            node = self.postfix(node)
        else:
            node = self.postfix(self.primary())
        if len(signs) % 2:
            node = ast.Call(signs[0].at, f"{signs[0].text}_", None, [node])
        return node

    def number(self, token: Token, value: int | float, at: int) -> Node:
        if token.kind == "float":
            return ast.Literal(at, value, type=DOUBLE)
        if not -INT64 <= value < INT64:
            raise self.fail(at, "invalid int literal")
        return ast.Literal(at, value, type=INT)

    def primary(self) -> Node:
        token = self.take()
        match token.kind:
            case "name":
                return self.named(token, "")
            case "int" | "float":
                return self.number(token, token.value, token.at)
            case "uint":
                return ast.Literal(token.at, UInt(token.value), type=UINT)
            case "string":
                return ast.Literal(token.at, token.value, type=STRING)
            case "bytes":
                return ast.Literal(token.at, token.value, type=BYTES)
        if token.kind == "symbol":
            match token.text:
                case "(":
                    inner = self.expression(0)
                    if self.peek.kind == "end":
                        raise self.syntax(self.peek, "missing ')' at '<EOF>'")
                    self.expect(")")
                    return inner
                case "[":
                    return self.list_literal(token.at)
                case "{":
                    return self.map_literal(token.at)
                case ".":
                    if self.peek.kind == "name":
                        return self.named(self.take(), ".")
        if token.kind == "end" or token.text in (")", "]", "}", ","):
            raise self.syntax(token, f"mismatched input '{token.text}' expecting {_EXPECTED}")
        raise self.syntax(token, f"extraneous input '{token.text}' expecting {_EXPECTED}")

    def named(self, token: Token, dot: str) -> Node:
        name = token.text
        if name in _WORDS:
            if dot or name == "in":
                raise self.syntax(token, f"mismatched input '{name}' expecting {_EXPECTED}")
            return ast.Literal(token.at, None, type=NULL) if name == "null" else ast.Literal(token.at, name == "true", type=BOOL)
        if name in _RESERVED:
            raise self.fail(token.at, f"reserved identifier: {name}")
        if self.at("("):
            at = self.take().at
            return self.function(at, dot + name, self.arguments())
        struct = self.struct_name(name)
        if struct is not None:
            return self.struct(token.at, struct)
        return ast.Ident(token.at, dot + name)

    def struct_name(self, name: str) -> str | None:
        """The dotted name if a struct literal begins with it; its tokens are taken."""
        ahead, parts = self.next, [name]
        while self.all[ahead].text == "." and self.all[ahead].kind == "symbol" and self.all[ahead + 1].kind == "name":
            parts.append(self.all[ahead + 1].text)
            ahead += 2
        if self.all[ahead].text != "{" or self.all[ahead].kind != "symbol":
            return None
        self.next = ahead
        return ".".join(parts)

    def postfix(self, node: Node) -> Node:
        before = self.depth
        while self.peek.kind == "symbol" and self.peek.text in (".", "["):
            self.deeper()
            token = self.take()
            optional = self.accept("?")
            if token.text == "[":
                index = self.expression(0)
                self.expect("]")
                node = ast.Call(token.at, "_[?_]" if optional else "_[_]", None, [node, index])
                continue
            name = self.take()
            if name.kind not in ("name", "escaped") or name.text in _WORDS:
                shown = "" if name.kind == "end" else name.text
                raise self.syntax(name, f"no viable alternative at input '.{shown}'")
            if not optional and name.kind == "name" and self.at("("):
                at = self.take().at
                node = self.method(at, node, name, self.arguments())
            else:
                node = ast.Select(token.at, node, name.text, optional=optional)
        self.depth = before
        return node

    def arguments(self) -> list[Node]:
        found: list[Node] = []
        while not self.accept(")"):
            if found:
                self.expect(",", ")")
            elif self.peek.kind == "end":
                expected = _EXPECTED.replace("'.'", "')', '.'")
                raise self.syntax(self.peek, f"mismatched input '<EOF>' expecting {expected}")
            found.append(self.expression(0))
        return found

    def list_literal(self, at: int) -> Node:
        items: list[Node] = []
        optional = set()
        while not self.accept("]"):
            if items:
                self.expect(",", "]")
                if self.accept("]"):
                    break
            if self.accept("?"):
                optional.add(len(items))
            items.append(self.expression(0))
        return ast.ListLiteral(at, items, frozenset(optional))

    def map_literal(self, at: int) -> Node:
        entries: list[tuple[Node, Node, bool]] = []
        while not self.accept("}"):
            if entries:
                self.expect(",", "}")
                if self.accept("}"):
                    break
            optional = self.accept("?")
            key = self.expression(0)
            self.expect(":")
            entries.append((key, self.expression(0), optional))
        return ast.MapLiteral(at, entries)

    def struct(self, at: int, name: str) -> Node:
        self.expect("{")
        entries: list[tuple[str, Node, bool]] = []
        while not self.accept("}"):
            if entries:
                self.expect(",", "}")
                if self.accept("}"):
                    break
            optional = self.accept("?")
            field = self.take()
            if field.kind not in ("name", "escaped"):
                raise self.syntax(field, f"mismatched input '{field.text}' expecting {{'}}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}}")
            self.expect(":")
            entries.append((field.text, self.expression(0), optional))
        return ast.StructLiteral(at, name, entries)

    # ---- macros ----------------------------------------------------------------------------------------------------

    def function(self, at: int, name: str, args: list[Node]) -> Node:
        if name == "has" and len(args) == 1:
            operand = args[0]
            if not isinstance(operand, ast.Select) or operand.test or operand.optional:
                raise self.fail(operand.at, "invalid argument to has() macro")
            operand.test = True
            operand.at = at
            return operand
        return ast.Call(at, name, None, args)

    def method(self, at: int, target: Node, name: Token, args: list[Node]) -> Node:
        word = name.text
        if word == "bind" and len(args) == 3 and isinstance(target, ast.Ident) and target.name == "cel":
            return ast.Bind(at, self.variable(args[0], "cel.bind() variable names must be simple identifiers"), args[1], args[2])
        if len(args) not in _MACROS.get(word, ()):
            return ast.Call(at, word, target, args)
        if word == "existsOne":
            word = "exists_one"
        if word in ("all", "exists", "exists_one", "filter"):
            names, condition, body = args[:-1], None, args[-1]
        elif word in ("map", "optMap", "optFlatMap"):
            names, condition, body = args[:1], args[1] if len(args) == 3 else None, args[-1]
        else:
            names, condition, body = args[:2], args[2] if len(args) == 4 else None, args[-1]
        words = "argument is not an identifier" if word in ("map", "filter") else "argument must be a simple name"
        variables = tuple(self.variable(one, words) for one in names)
        if len(set(variables)) < len(variables):
            raise self.fail(names[1].at, f"duplicate variable name: {variables[1]}")
        return ast.Macro(at, word, target, variables, condition, body)

    def variable(self, node: Node, words: str) -> str:
        if not isinstance(node, ast.Ident) or node.name.startswith("."):
            raise self.fail(node.at, words)
        if node.name in ("__result__", "@result"):
            raise self.fail(node.at, "iteration variable overwrites accumulator variable")
        return node.name
