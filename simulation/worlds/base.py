"""What every simulated world offers."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Sequences(NamedTuple):
    """N sequences of T frames.

    Attributes:
        images: [N, T, H, W] uint8, row 0 at the top; 0 or 255 where a world is binary. [N, T, H, W, 3] in
            colour.
        states: [N, T, S] float64, the state that each frame shows.
        controls: [N, T, dim_u] float32, entry t acts between the frames t - 1 and t; dim_u is 0 in a world
            without controls.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.float64]
    controls: NDArray[np.float32]


class Quantity(NamedTuple):
    """What one entry of a state or a control vector is, and its unit."""

    name: str
    unit: str
    description: str


class World(ABC):
    """A world that sequences are drawn from. `PhysicsWorld` can start from any state, too.

    Attributes:
        name: the name by which `make_world` knows it, which sets it; empty where it was made otherwise.
        options: what it was made with: `make_world(name, **options)` makes it again, and sets them where the
            world does not.
        image_shape: (H, W) in pixels; (H, W, 3) in colour.
        parameters: everything that decides what the world's sequences look like; only values that
            JSON gives back unchanged, because a dataset file is checked against it.
        state_quantities: what each of the S state entries is.
        control_quantities: what each of the dim_u control entries is.
        num_train: training sequences of a dataset, unless told otherwise; the KVAE paper's 5,000.
        num_test: test sequences, likewise.
        num_steps: frames in a sequence, likewise.
        packages: whose versions decide what the sequences are, too.
        notes: what who makes a dataset of it should be told.
    """

    num_train = 5000
    num_test = 1000
    num_steps = 20
    packages: tuple[str, ...] = ("numpy", "pymunk", "pygame")
    notes: tuple[str, ...] = ()

    name: str = ""
    options: dict[str, Any]
    image_shape: tuple[int, ...]
    parameters: dict[str, Any]
    state_quantities: tuple[Quantity, ...]
    control_quantities: tuple[Quantity, ...]

    @abstractmethod
    def sample_sequence(self, rng: np.random.Generator, num_steps: int = 20) -> Sequences:
        """Draw one sequence (N = 1) of `num_steps` frames; all its randomness comes from `rng`.

        Raises:
            ValueError: there is no such sequence.
        """


class PhysicsWorld(World):
    """A world in which every state can be simulated from, and drawn."""

    @abstractmethod
    def sample_initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial state [S] of one sequence."""

    @abstractmethod
    def rollout(self, initial_states: ArrayLike, num_steps: int = 20) -> Sequences:
        """Simulate one sequence of `num_steps` frames from each initial state [N, S].

        Raises:
            ValueError: if the initial states are not a finite [N, S] array or `num_steps` is not
                a positive integer.
        """

    @abstractmethod
    def render(self, states: ArrayLike) -> NDArray[np.uint8]:
        """Draw what states [N, T, S] show, without contact marks and noise: [N, T, H, W]."""

    def sample_sequence(self, rng: np.random.Generator, num_steps: int = 20) -> Sequences:
        """Draw one sequence (N = 1); all its randomness comes from `rng`."""
        return self.rollout(self.sample_initial_state(rng)[None], num_steps)

    def _check_rollout_arguments(self, initial_states: ArrayLike, num_steps: int) -> NDArray[np.float64]:
        """Return the initial states as a float64 array, or raise what `rollout` promises."""
        names = ", ".join(quantity.name for quantity in self.state_quantities)
        expected = f"initial_states must be numbers of shape [N, {len(self.state_quantities)}]"
        try:
            states = np.asarray(initial_states, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{expected} ({names}). Received: {initial_states!r}.") from error
        if states.ndim != 2 or states.shape[1] != len(self.state_quantities):
            raise ValueError(f"{expected} ({names}). Received shape: {list(states.shape)}.")
        finite = np.isfinite(states).all(axis=1)
        if not finite.all():
            index = int(np.argmin(finite))
            raise ValueError(
                "initial_states must be finite. "
                f"Received: initial_states[{index}] = {states[index].tolist()}."
            )
        check_num_steps(num_steps)
        return states


def check_num_steps(num_steps: int) -> None:
    """Raise ValueError unless `num_steps` is a positive integer."""
    if not isinstance(num_steps, int | np.integer) or num_steps < 1:
        raise ValueError(f"num_steps must be an integer of at least 1. Received: {num_steps!r}.")
