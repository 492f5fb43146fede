"""The table of known fingerprints: a map, whatever is in it and however it came in."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl import seen as module
from pipeline.crawl.seen import MOST_RECENT, SHARDS, Seen


def mark(number: int) -> bytes:
    return blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def packed(entries: dict[bytes, int]) -> bytes:
    return b"".join(key[:12] + number.to_bytes(4, "big") for key, number in entries.items())


def bytes_used(seen: Seen) -> int:
    return sum(len(shard) * shard.itemsize for shard in seen._shards)


# Few different values for each part, so that shards, places and single words collide.
colliding = st.builds(
    lambda head, middle, tail, rest: head.to_bytes(8, "big") + middle.to_bytes(2, "big") + tail + rest,
    st.sampled_from([0, 1, 1 << 10, 8 << 10, 2**64 - 1]),
    st.integers(0, 2),
    st.sampled_from([b"\0\0", b"\0\1", b"\xff\xff"]),
    st.just(b"rest"),
)


@given(st.lists(colliding), st.lists(colliding), st.booleans())
def test_it_is_a_map(first: list[bytes], then: list[bytes], expected: bool) -> None:
    seen, model = Seen(), {key: number for number, key in enumerate(dict.fromkeys(first), 1)}
    if expected:
        seen.expect(len(model))
    seen.load(packed(model))
    for key in then:
        assert seen.get(key) == model.get(key)
        if key not in model:
            model[key] = 2**32 - 1 - len(model)
            seen.add(key, model[key])
    seen._recent.clear()
    assert {key: seen.get(key) for key in model} == model
    assert len(seen) == len(model)


def test_an_empty_table_knows_nothing_and_takes_nothing() -> None:
    seen = Seen()
    seen.load(b"")
    seen.expect(0)
    assert (len(seen), seen.get(mark(1)), seen.get(bytes(16))) == (0, None, None)


def test_a_hundred_thousand_are_found_again_in_little_memory() -> None:
    loaded, added, numbers = Seen(), Seen(), range(1, 100_001)
    entries = {mark(number): number for number in numbers}
    loaded.expect(len(entries))
    loaded.load(packed(entries))
    for key, number in entries.items():
        added.add(key, number)
    for seen in (loaded, added):
        assert all(seen.get(key) == number for key, number in entries.items())
        assert not any(seen.get(mark(number)) for number in range(200_000, 210_000))
        assert len(seen) == len(entries)
        assert len(seen._recent) <= MOST_RECENT
        assert bytes_used(seen) < len(entries) * 32 + SHARDS * 200


def test_expecting_what_comes_saves_the_growing() -> None:
    entries = {mark(number): number for number in range(1, 20_001)}
    seen = Seen()
    seen.expect(len(entries))
    before = [id(shard) for shard in seen._shards]
    seen.load(packed(entries))
    assert sum(id(shard) != old for shard, old in zip(seen._shards, before, strict=True)) < 5


def test_the_newest_are_the_ones_remembered(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "MOST_RECENT", 32)
    monkeypatch.setattr(module, "_FORGOTTEN", 2)
    seen = Seen()
    for number in range(1, 101):
        seen.add(mark(number), number)
    assert len(seen._recent) == 32
    assert mark(100) in seen._recent and mark(1) not in seen._recent
    assert seen.get(mark(1)) == 1
    assert mark(1) in seen._recent
