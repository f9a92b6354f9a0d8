"""Loaded models stay as long as their bytes allow, and each is loaded once."""

import threading
import time

from jupyter_astroml.models.kept import Kept
from jupyter_astroml.models.loading import load


def test_the_least_recently_used_goes_first_and_by_bytes():
    kept, loads = Kept(len), []

    def get(name, size):
        def made():
            loads.append(name)
            return "x" * size

        return kept.get(name, made, room=10)

    get("a", 4), get("b", 4), get("a", 4), get("c", 4)
    assert kept.bytes == 8
    get("a", 4)
    assert loads == ["a", "b", "c"]
    get("b", 4)
    assert loads == ["a", "b", "c", "b"]
    # What is needed now is kept, however large.
    get("d", 99)
    assert (len(kept), kept.bytes) == (1, 99)


def test_threads_that_ask_at_once_load_once():
    kept, loads = Kept(len), []

    def made():
        time.sleep(0.05)
        loads.append(1)
        return "x"

    threads = [threading.Thread(target=lambda: kept.get("a", made, room=9)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_a_model_knows_its_bytes_and_is_the_same_the_second_time():
    first = load("galaxy_morphology")
    assert load("galaxy_morphology", room=0) is first
    weights = (first.folder / "weights.safetensors").stat().st_size
    # Stored in half or full precision, computed in full.
    assert 0.9 * weights < first.bytes < 2.2 * weights
