from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.auth.rules import Rule, compact, missing
from sampan.apiserver.request import Attributes, User

WORDS = st.sampled_from(["a", "b", "*"])
PLURALS = st.sampled_from(["pods", "pods/log", "*/log", "*"])
RULES = st.builds(
    lambda verbs, groups, resources, names: Rule(tuple(verbs), tuple(groups), tuple(resources), tuple(names)),
    st.lists(WORDS, min_size=1, max_size=2), st.lists(WORDS, min_size=1, max_size=2), st.lists(PLURALS, min_size=1, max_size=2),
    st.lists(st.sampled_from(["n", "m"]), max_size=2))
ASKED = st.builds(
    lambda verb, group, resource, name: Attributes(
        user=User("u"), verb=verb, path="", is_resource=True, group=group, resource=resource.partition("/")[0],
        subresource=resource.partition("/")[2], name=name),
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["a", "b", "c"]), st.sampled_from(["pods", "pods/log", "other"]),
    st.sampled_from(["n", "m", "x"]))


@given(st.lists(RULES, max_size=3), RULES, ASKED)
def test_rules_that_cover_another_allow_all_that_it_allows(owned: list[Rule], wanted: Rule, asked: Attributes) -> None:
    if not missing(owned, [wanted]) and wanted.allows(asked):
        assert any(rule.allows(asked) for rule in owned)


@given(st.lists(RULES, min_size=1, max_size=3))
def test_every_rule_covers_itself(rules: list[Rule]) -> None:
    assert missing(rules, rules) == []


@given(st.lists(RULES, max_size=4), ASKED)
def test_compacting_changes_nothing(rules: list[Rule], asked: Attributes) -> None:
    assert any(rule.allows(asked) for rule in compact(rules)) == any(rule.allows(asked) for rule in rules)


def test_paths_are_covered_by_their_prefix() -> None:
    def path(*urls: str) -> Rule:
        return Rule(("get",), urls=urls)

    assert missing([path("/api/*")], [path("/api/v1", "/api/*")]) == []
    assert missing([path("/api/*")], [path("/apis")]) == [path("/apis")]
    assert str(path("/x")) == '{NonResourceURLs:["/x"], Verbs:["get"]}'
