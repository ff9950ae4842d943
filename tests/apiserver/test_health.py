"""Health, readiness, version, metrics and the other pages that are no resources."""

from __future__ import annotations

from api_asking import MAPS, Asker, with_server
from sampan.apiserver.health import Health


def test_a_failing_check_fails_the_page_unless_it_is_excluded() -> None:
    health = Health({"etcd": lambda: "the disk is gone"})
    bad = health.answer("/readyz", {})
    assert (bad.code, b"[-]etcd failed: reason withheld" in bad.joined()) == (500, True)
    assert health.answer("/readyz", {"exclude": ["etcd"]}).code == 200
    assert health.answer("/livez/ping", {}).joined() == b"ok"
    assert health.answer("/livez/nothing", {}).code == 404


def test_a_running_server_is_ready_and_says_which() -> None:
    async def test(asker: Asker) -> None:
        assert await asker.ask("GET", "/readyz") == (200, "ok")
        _, text = await asker.ask("GET", "/livez?verbose")
        assert (text.startswith("[+]ping ok\n"), text.endswith("livez check passed\n")) == (True, True)
        _, version = await asker.ask("GET", "/version")
        assert (version["minor"], version["gitVersion"].endswith("+sampan")) == ("36", True)
        await asker.server.server.stop()
        assert (await asker.ask("GET", "/readyz"))[0] == 500

    with_server(test)


def test_metrics_count_what_was_answered() -> None:
    async def test(asker: Asker) -> None:
        for name in ("a", "b"):
            await asker.must("POST", MAPS, {"metadata": {"name": name}})
        _, text = await asker.ask("GET", "/metrics")
        line = next(line for line in text.splitlines() if line.startswith("apiserver_request_total{") and 'verb="POST"' in line)
        assert ('resource="configmaps"' in line, line.endswith(" 2.0")) == (True, True)
        assert 'apiserver_storage_objects{resource="configmaps"} 2.0' in text

    with_server(test)
