"""The worlds against trajectories and frames of the original simulator."""

import os
from pathlib import Path

import numpy as np
import pytest

from simulation import make_world, world_names

GOLDEN_DIR = Path(os.environ.get("KVAE_GOLDEN_DIR", Path(__file__).parents[1] / "golden"))
PHYSICS_DIR = GOLDEN_DIR / "physics"
REQUIRED_WORLDS = {"box", "box_gravity", "polygon", "pong"}
TESTED_WORLDS = sorted(
    REQUIRED_WORLDS | {path.stem for path in PHYSICS_DIR.glob("*.npz")} & set(world_names())
)


@pytest.mark.parametrize("name", TESTED_WORLDS)
def test_world_equals_original_simulator(name):
    with np.load(PHYSICS_DIR / f"{name}.npz") as golden:
        initial, states, packed = golden["initial"], golden["state"], golden["frames"]
    num_sequences, num_steps = states.shape[:2]
    world = make_world(name)
    width = world.image_shape[1]
    frames = np.unpackbits(packed, axis=-1)[..., :width].astype(bool)

    images, simulated_states, controls = world.rollout(initial, num_steps)

    assert images.shape == (num_sequences, num_steps, *world.image_shape)
    assert controls.shape[:2] == (num_sequences, num_steps)
    if name == "pong":
        # Its frames show the state after their step, which is the one before the next.
        simulated_states, states = simulated_states[:, :-1], states[:, 1:]
    np.testing.assert_allclose(simulated_states, states, rtol=0, atol=1e-9)
    differing = np.argwhere((frames != (images > 0)).any(axis=(2, 3)))
    assert len(differing) == 0, f"{len(differing)} frames differ; first (n, t): {differing[0]}"
