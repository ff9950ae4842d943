"""The index of free volumes against a plain search through all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.control.volumes import claim_class, storage, volume_class
from sampan.storage.binder.match import FreeVolumes, best, is_free, mode_of, modes_of
from storage.worlds import claim, volume

MODES = st.sampled_from(["RWO", "ROX", "RWX", "RWO,ROX", "RWO,ROX,RWX"])
CLASSES = st.sampled_from(["", "fast"])


@st.composite
def volumes(draw: st.DrawFn) -> str:
    words = [f"size={draw(st.integers(1, 6))}Gi", f"modes={draw(MODES)}", f"class={draw(CLASSES)}", f"mode={draw(st.sampled_from(['Filesystem', 'Block']))}",
             f"labels=disk:{draw(st.sampled_from(['ssd', 'hdd']))}", f"phase={draw(st.sampled_from(['Available', 'Available', 'Released', 'Pending']))}"]
    return " ".join([*words, *(["claim=ns/other/u"] if draw(st.integers(0, 4)) == 0 else []), *(["leaving"] if draw(st.integers(0, 6)) == 0 else [])])


@st.composite
def claims(draw: st.DrawFn) -> PersistentVolumeClaim:
    selector = draw(st.sampled_from(["", " selector=disk:ssd"]))
    return claim(f"mine size={draw(st.integers(1, 6))}Gi modes={draw(MODES)} class={draw(CLASSES)} "
                 f"mode={draw(st.sampled_from(['Filesystem', 'Block']))}{selector}")


def plainly(wanted: PersistentVolumeClaim, every: list[PersistentVolume]) -> PersistentVolume | None:
    """As the documentation says it: of the fitting ones the fewest access modes, then the smallest."""
    fitting = [one for one in every if is_free(one) and volume_class(one) == claim_class(wanted) and mode_of(one.spec) == mode_of(wanted.spec)
               and set(wanted.spec.accessModes) <= set(one.spec.accessModes) and storage(one.spec.capacity) >= storage(wanted.spec.resources.requests)
               and (wanted.spec.selector is None or one.metadata.labels["disk"] == "ssd")]
    return min(fitting, key=lambda one: (len(modes_of(one)), modes_of(one), storage(one.spec.capacity), one.metadata.name), default=None)


@given(st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), volumes())), max_size=20), claims())
def test_the_index_finds_what_a_plain_search_finds(changes: list[tuple[int, str | None]], wanted: PersistentVolumeClaim) -> None:
    # given volumes that come, change and go
    free, now = FreeVolumes(), dict[str, PersistentVolume]()
    for number, text in changes:
        name = f"v{number}"
        if text is None:
            now.pop(name, None)
        else:
            now[name] = volume(f"{name} {text}")
        free.put(name, now.get(name))
    # then
    assert best(wanted, (), free, delayed=False) == plainly(wanted, list(now.values()))
    assert best(wanted, (), free, delayed=True) is None


def test_an_index_that_was_emptied_holds_nothing() -> None:
    free = FreeVolumes()
    for number in range(5):
        free.put(f"v{number}", volume(f"v{number} class=c"))
    for number in range(5):
        free.put(f"v{number}", None)
        free.put(f"v{number}", None)
    assert free.groups(("c", "Filesystem")) == []
