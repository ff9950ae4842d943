"""What is done about claims and volumes, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.storage.v1 import StorageClass
from sampan.control.key import key_of
from sampan.control.volumes import claim_class, claim_key
from sampan.kinds.plan import Plan
from sampan.storage.binder import bind, decide
from sampan.storage.binder.match import FreeVolumes, best
from sampan.storage.provision.decide import Delete, Provision
from sampan.testing.datadriven import Block, run, transcripts
from storage.worlds import claim, render, show, storage_class, volume


class Play:
    """Objects by name; commands look at one and say what would be done, `bind` does it step by step."""

    def __init__(self) -> None:
        self.volumes: dict[str, PersistentVolume] = {}
        self.claims: dict[str, PersistentVolumeClaim] = {}
        self.classes: dict[str, StorageClass] = {}
        self.default = ""

    def handle(self, block: Block) -> str:
        return getattr(self, block.name)(block)  # type: ignore[no-any-return]

    def given(self, block: Block) -> str:
        """Lines `volume …`, `claim …`, `class …`; replaces all that was."""
        self.__init__()  # type: ignore[misc]
        for line in block.input.splitlines():
            kind, _, text = line.partition(" ")
            if kind == "volume":
                self.volumes[text.split()[0]] = volume(text)
            elif kind == "claim":
                self.claims[text.split()[0]] = claim(text)
            else:
                self.classes[text.split()[0]] = storage_class(text)
        self.default = block.get("default")
        return "ok"

    def _claim(self, name: str, block: Block) -> decide.Action:
        obj = self.claims[name]
        found = self.classes.get(claim_class(obj))
        if obj.spec.volumeName:
            chosen = self.volumes.get(obj.spec.volumeName)
        else:
            free = FreeVolumes()
            for one in self.volumes.values():
                free.put(one.metadata.name, one)
            kept = [one for one in self.volumes.values() if claim_key(one) == key_of(obj)]
            chosen = best(obj, kept, free, delayed=decide.is_delayed(found))
        pods = [one for one in block.get("pods").split(",") if one]
        return decide.claim(decide.ClaimView(obj, chosen, found, self.default, pods, block.get("dynamic") != "no"))

    def claim(self, block: Block) -> str:
        action = self._claim(block.words[0], block)
        return f"bind {action.volume.metadata.name}" if isinstance(action, decide.Bind) else self.shown(action)

    def volume(self, block: Block) -> str:
        obj = self.volumes[block.words[0]]
        ref = obj.spec.claimRef
        found = self.claims.get(ref.name) if ref is not None else None
        mine = found if found is not None and ref is not None and found.metadata.uid == ref.uid else None
        users = [one for one in block.get("pods").split(",") if one]
        return self.shown(decide.volume(decide.VolumeView(obj, mine, users)))

    def shown(self, action: decide.Action) -> str:
        match action:
            case Plan():
                return render(action)
            case decide.Look(key):
                return f"look at claim {key}"
            case Provision(obj, found):
                return f"make a volume of class {found.metadata.name} for {obj.metadata.name}"
            case Delete(obj):
                return f"delete the storage of {obj.metadata.name}"
        raise AssertionError(action)

    def bind(self, block: Block) -> str:
        """All writes of a binding, or so many: `bind CLAIM [steps=N]`; the objects are as written afterwards."""
        action = self._claim(block.words[0], block)
        assert isinstance(action, decide.Bind)
        chosen, obj, lines = action.volume, action.claim, list[str]()
        while (write := bind.step(chosen, obj)) is not None and len(lines) < block.number("steps", 9):
            if isinstance(write.object, PersistentVolume):
                chosen = self.volumes[chosen.metadata.name] = write.object
            else:
                obj = self.claims[obj.metadata.name] = write.object
            lines.append(f"{write.resource.plural}{'/' + write.subresource if write.subresource else ''} {show(write.object)}")
        return "\n".join(lines) or "complete"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
