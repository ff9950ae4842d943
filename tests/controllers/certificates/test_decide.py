"""What becomes of a certificate signing request, as transcripts on the pure part.

    csr NAME ORGANISATIONS… signer=SIGNER usages=a,b user=NAME expires=SECONDS made=HOURS AGO; below, conditions: `TYPE MINUTES AGO`
    may       as what it may be approved
    sign      the certificate, or why there is none
    clean     whether it goes, and when to look again
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from sampan.api.scalars import Time
from sampan.controllers.certificates.decide import clean, recognizers, sign
from sampan.kinds.plan import Update
from sampan.lib import pki
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - certificates are judged by real time
SIGNERS = {"client": pki.KUBE_APISERVER_CLIENT, "kubelet-client": pki.KUBE_APISERVER_CLIENT_KUBELET, "serving": pki.KUBELET_SERVING,
           "legacy": pki.LEGACY_UNKNOWN}


@cache
def authority() -> pki.Pair:
    return pki.new_ca("test", now=NOW)


class Play:
    def __init__(self) -> None:
        self.csr = CertificateSigningRequest()

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name)(block))

    def csr_(self, block: Block) -> str:
        common, *organisations = [word.replace("_", " ") for word in block.words]
        csr = self.csr = CertificateSigningRequest()
        csr.metadata.name = csr.metadata.uid = "r"
        csr.metadata.creationTimestamp = Time.of(NOW - timedelta(hours=block.number("made")))
        dns = tuple(filter(None, block.get("dns").split(",")))
        csr.spec.request = b"nonsense" if common == "nonsense" else pki.new_request(pki.Names(common, tuple(organisations), dns=dns), key=authority().key)
        csr.spec.signerName = SIGNERS.get(block.get("signer", "client"), block.get("signer"))
        csr.spec.usages = [one.replace("_", " ") for one in block.get("usages", "client_auth,digital_signature").split(",")]
        csr.spec.username = block.get("user", common)
        csr.spec.expirationSeconds = block.number("expires") if "expires" in block.args else None
        if "signed" in block.args:
            csr.status.certificate = pki.sign_csr(authority(), csr.spec.request, csr.spec.usages, now=NOW, duration=timedelta(minutes=block.number("signed")))
        for line in block.input.splitlines():
            kind, minutes = line.split()
            csr.status.conditions.append(CertificateSigningRequestCondition(type=kind, status="True", lastUpdateTime=Time.of(NOW - timedelta(minutes=int(minutes)))))
        return "ok"

    def may(self, _: Block) -> str:
        return "\n".join(one.subresource for one in recognizers(self.csr)) or "nothing"

    def sign(self, _: Block) -> str:
        plan = sign(self.csr, authority(), timedelta(days=365), NOW)
        if not plan.writes:
            return render(plan)
        [write] = plan.writes
        assert isinstance(write, Update)
        self.csr = write.object
        if not self.csr.status.certificate:
            found = self.csr.status.conditions[-1]
            return f"{found.type} {found.reason}: {found.message}"
        facts = pki.facts_of(self.csr.status.certificate)
        assert pki.signed_by(self.csr.status.certificate, authority().certificate)
        return f"{facts.names.common_name} until {(facts.not_after - NOW).total_seconds() / 60:.0f} min"

    def clean(self, _: Block) -> str:
        return render(clean(self.csr, NOW))


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play = Play()
    run(path, lambda block: play.csr_(block) if block.name == "csr" else play.handle(block))
