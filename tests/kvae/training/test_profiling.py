from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from kvae.training import profiling
from kvae.training.profiling import NUM_STEPS, WARM_UP, Profiler


def steps_of(file):
    """Return the numbers of the steps in a profile."""
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    numbers = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                if plane.event_metadata[event.metadata_id].name == "train":
                    stats = {plane.stat_metadata[stat.metadata_id].name: stat for stat in event.stats}
                    numbers.append(stats["step_num"].int64_value)
    return sorted(numbers)


def take_steps(profiler, batches):
    """Train on batches, so to say, and return them."""
    found = []
    for batch in profiler.watch(batches):
        tf.reduce_sum(tf.ones([10]))
        found.append(batch)
    return found


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_profile_is_of_ten_steps_after_the_first(tmp_path):
    said = []
    profiler = Profiler(tmp_path / "train", said.append)
    batches = [*range(WARM_UP + NUM_STEPS + 5)]
    assert take_steps(profiler, batches) == batches
    (file,) = files_in(tmp_path)
    # Where TensorBoard looks for it.
    assert file.match("train/plugins/profile/*/*.xplane.pb")
    assert steps_of(file) == [*range(NUM_STEPS)]
    assert said[0].startswith(f"Profiled {NUM_STEPS} ")
    # Once is enough.
    assert profiler.is_done
    assert take_steps(profiler, batches) == batches
    assert files_in(tmp_path) == [file]


def test_short_epochs_count_together(tmp_path):
    profiler = Profiler(tmp_path, lambda line: None)
    assert take_steps(profiler, range(WARM_UP)) == [*range(WARM_UP)]
    # There is no step to profile in it.
    assert not profiler.is_done
    assert take_steps(profiler, range(2)) == [0, 1]
    assert profiler.is_done
    (file,) = files_in(tmp_path)
    assert steps_of(file) == [0, 1]


def test_an_epoch_that_is_broken_off_ends_the_profile(tmp_path):
    watched = Profiler(tmp_path, lambda line: None).watch(range(100))
    for _ in range(WARM_UP + 4):
        next(watched)
    watched.close()
    (file,) = files_in(tmp_path)
    assert steps_of(file) == [0, 1, 2, 3]
    # TensorFlow takes one profile at a time.
    tf.profiler.experimental.start(str(tmp_path / "other"))
    tf.profiler.experimental.stop(save=False)


def test_nothing_is_profiled_unless_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(tf.profiler.experimental, "start", None)
    profiler = Profiler(None)
    assert profiler.is_done
    assert take_steps(profiler, range(20)) == [*range(20)]


def test_a_profile_that_cannot_be_written_is_an_error_of_the_system(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        take_steps(Profiler(tmp_path / "file"), range(20))

    stop = tf.profiler.experimental.stop

    def fail():
        stop(save=False)
        # As TensorFlow does where a file becomes too large.
        raise tf.errors.OutOfRangeError(None, None, "a.xplane.pb; File too large")

    monkeypatch.setattr(tf.profiler.experimental, "stop", fail)
    with pytest.raises(OSError, match=r"cannot be written to .*train.*too large"):
        take_steps(Profiler(tmp_path / "train"), range(20))
    assert files_in(tmp_path) == [tmp_path / "file"]


@pytest.mark.parametrize("is_there", [True, False])
def test_what_shows_it_is_named_where_it_is_missing(tmp_path, monkeypatch, is_there):
    monkeypatch.setattr(profiling.importlib.util, "find_spec", lambda name: object() if is_there else None)
    said = []
    take_steps(Profiler(Path(tmp_path), said.append), range(20))
    assert ("pip install" in said[0]) is not is_there
