"""Kubernetes' libraries, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CelError
from sampan.api.cel.library.authorizer import AUTHORIZER, Authorizer, Question

ENV = Environment({})
GOOD: list[tuple[str, Any]] = [
    ("'tacocat'.charAt(3)", "o"), ("'hello mellow'.indexOf('ello', 2)", 7), ("'hello mellow'.lastIndexOf('ello')", 7), ("['a', 'b'].join('-')", "a-b"),
    ("'TacoCÆt'.lowerAscii()", "tacocÆt"), ("'hello'.replace('l', 'L', 1)", "heLlo"), ("'a,b,c'.split(',', 2)", ["a", "b,c"]), ("'abc'.split('')", ["a", "b", "c"]),
    ("'tacocat'.substring(4)", "cat"), ("' x '.trim()", "x"), ("'ab'.reverse()", "ba"), ("strings.quote('a\"b')", '"a\\"b"'), ("'%s %d %.2f %x %b'.format(['a', 1, 2.345, 255, 5])", "a 1 2.35 ff 101"),
    ("'%s'.format([{'a': [1, null]}])", "{a: [1, null]}"),
    ("[1, 3, 2].isSorted()", False), ("[1, 3].sum()", 4), ("[1.5].max()", 1.5), ("['b', 'a'].min()", "a"), ("[1, 2, 1].lastIndexOf(1)", 2), ("[1, 2, 1].indexOf(3)", -1),
    ("sets.contains([1, 2], [2])", True), ("sets.equivalent([1, 1], [1])", True), ("sets.intersects([1], [2])", False), ("math.greatest(1, 3, 2)", 3), ("math.least([4, 2])", 2),
    ("[1, 1, 2].distinct()", [1, 2]), ("[[1], [2]].flatten()", [1, 2]), ("[1, 2, 3].slice(1, 2)", [2]), ("[2, 1].sort()", [1, 2]),
    ("'abc 123'.find('[0-9]+')", "123"), ("'123 abc 456'.findAll('[0-9]+')", ["123", "456"]), ("'1 2 3'.findAll('[0-9]', 2)", ["1", "2"]), ("'x'.find('y')", ""),
    ("'baac'.findAll('a*')", ["", "aa", ""]), ("'é🚢'.findAll('')", ["", "", ""]), ("'é🚢é'.findAll('.')", ["é", "🚢", "é"]), ("'aé'.findAll('x?', 2)", ["", ""]),
    ("url('https://example.com:80/path?k=a&k=b').getHost()", "example.com:80"), ("url('https://[::1]:80/p%20x').getHostname()", "::1"), ("url('/p%20x').getEscapedPath()", "/p%20x"),
    ("url('https://e.com/?k=a&k=b').getQuery()['k']", ["a", "b"]), ("isURL('not a url')", False), ("url('http://a:8080/').getPort()", "8080"), ("url('http://a/').getScheme()", "http"),
    ("quantity('1Gi').isGreaterThan(quantity('1G'))", True), ("quantity('50k').add(20).sub(quantity('20')).asInteger()", 50000), ("isQuantity('1Zx')", False), ("quantity('-1').sign()", -1),
    ("quantity('1.5').isInteger()", False), ("quantity('2000m') == quantity('2')", True), ("quantity('0.5').asApproximateFloat()", 0.5),
    ("ip('192.168.0.1').family()", 4), ("ip.isCanonical('::0:1')", False), ("isIP('1.2.3')", False), ("ip('fe80::1').isLinkLocalUnicast()", True), ("string(ip('::1'))", "::1"),
    ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", True), ("cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))", True), ("cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')", True),
    ("cidr('10.0.0.0/8').prefixLength()", 8), ("isCIDR('10.0.0.0')", False), ("isCIDR('10.0.0.0/\u0668')", False), ("ip('::ffff:1.2.3.4') == ip('1.2.3.4') || true", True), ("isIP('::ffff:1.2.3.4')", False),
    ("semver('1.2.3').major()", 1), ("semver('1.2.3-alpha').isLessThan(semver('1.2.3'))", True), ("isSemver('v1.2')", False), ("semver('v1.2', true).patch()", 0),
    ("semver('1.0.0-rc.2').compareTo(semver('1.0.0-rc.10'))", -1), ("!format.dns1123Label().validate('web').hasValue()", True), ("format.named('uuid').hasValue()", True),
    ("format.named('nope').hasValue()", False), ("format.dns1123Label().validate('Web').value().size()", 1), ("jsonpatch.escapeKey('a/b~c')", "a~1b~0c"),
    ("base64.decode(base64.encode(b'hi')) == b'hi'", True),
]


@pytest.mark.parametrize(("text", "wanted"), GOOD, ids=[text for text, _ in GOOD])
def test_a_library_function_answers_as_upstreams(text: str, wanted: Any) -> None:
    assert ENV.compile(text).evaluate({}) == wanted


@pytest.mark.parametrize("text", ["'a'.charAt(2)", "'abc'.substring(2, 1)", "[0].slice(1, 5)", "quantity('x') == quantity('1')", "ip('1.2.3') == ip('1.2.3.4')", "cidr('1.2.3.4/33') == cidr('1.2.3.4/8')",
                                  "semver('1.2') == semver('1.2.0')", "url('a b') == url('/')", "[1].filter(x, false).max() == 1", "'%d'.format(['a']) == ''", "'%s'.format([]) == ''"])
def test_bad_arguments_are_errors(text: str) -> None:
    with pytest.raises(CelError):
        ENV.compile(text).evaluate({})


def test_the_authorizer_asks_what_was_built_and_costs_as_much_as_two_a_rule_allow() -> None:
    asked: list[Question] = []

    def ask(question: Question) -> tuple[bool, str, str]:
        asked.append(question)
        return question.verb == "get", "because", ""

    env = Environment({"authorizer": AUTHORIZER})
    text = "authorizer.serviceAccount('ns', 'bot').group('apps').resource('deployments').namespace('ns').name('web').check('get').allowed() && !authorizer.path('/healthz').check('post').allowed()"
    value, cost = env.compile(text).measure({"authorizer": Authorizer(ask)})
    assert value is True
    assert cost > 700_000
    assert asked == [Question(("ns", "bot"), "get", "", "apps", "deployments", "", "ns", "web"), Question(None, "post", "/healthz")]
